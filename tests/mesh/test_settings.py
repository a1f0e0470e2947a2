"""Settings: read from the environment, refused with a sentence."""

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from mesh.process import lifecycle
from mesh.retry import ExitForNow
from mesh.settings import SettingError, describe, or_exit, read, secret, setting


@dataclasses.dataclass(frozen=True)
class Example:
    """One setting of each kind."""

    listen: str = setting("JOURNEYMESH_EXAMPLE", "127.0.0.1:1", "Where it listens.")
    count: int = setting("JOURNEYMESH_COUNT", 4, "How many.", minimum=1, maximum=8)
    ratio: float = setting("JOURNEYMESH_RATIO", 0.5, "What share.", minimum=0)
    is_kept: bool = setting("JOURNEYMESH_KEPT", default=True, meaning="Whether it is kept.")
    mode: str = setting("JOURNEYMESH_MODE", "a", "Which.", choices=("a", "b"))


def test_defaults_hold_without_an_environment() -> None:
    assert read(Example, {}) == Example("127.0.0.1:1", 4, 0.5, is_kept=True, mode="a")


def test_the_environment_wins() -> None:
    environment = {"JOURNEYMESH_COUNT": "8", "JOURNEYMESH_KEPT": "off", "JOURNEYMESH_MODE": "b", "OTHER": "x"}
    assert read(Example, environment) == Example("127.0.0.1:1", 8, 0.5, is_kept=False, mode="b")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("JOURNEYMESH_COUNT", "four", "JOURNEYMESH_COUNT must be a whole number, not 'four'."),
        ("JOURNEYMESH_COUNT", "9", "JOURNEYMESH_COUNT must be from 1 to 8, not '9'."),
        ("JOURNEYMESH_RATIO", "nan", "JOURNEYMESH_RATIO must be 0 or more, not 'nan'."),
        ("JOURNEYMESH_KEPT", "maybe", "JOURNEYMESH_KEPT must be true or false, not 'maybe'."),
        ("JOURNEYMESH_MODE", "c", "JOURNEYMESH_MODE must be one of a, b, not 'c'."),
    ],
)
def test_a_wrong_value_is_refused_with_a_sentence(name: str, value: str, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence.replace(".", r"\.")):
        read(Example, {name: value})


async def raised() -> None:
    raise SettingError("The key cannot be used.")


async def raised_beside_work_in_the_background() -> None:
    async with lifecycle.in_background(asyncio.sleep(60)), lifecycle.in_background(asyncio.sleep(60)):
        await raised()


async def exited() -> None:
    await or_exit(raised)


async def exited_beside_work_in_the_background() -> None:
    async with lifecycle.in_background(asyncio.sleep(60)):
        await exited()


@pytest.mark.parametrize(
    "work",
    [raised, raised_beside_work_in_the_background, exited, exited_beside_work_in_the_background],
    ids=lambda work: work.__name__,
)
def test_a_process_whose_setting_cannot_be_used_ends_with_a_sentence_and_a_code_of_its_own(
    work: Callable[[], Coroutine[Any, Any, None]], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        lifecycle.run(work())
    assert ended.value.code == lifecycle.CANNOT_RUN
    assert capsys.readouterr().err == "journeymesh: The key cannot be used.\n"


async def taken() -> None:
    raise ExitForNow("The address is taken.")


def test_what_may_pass_ends_a_process_that_may_be_begun_again() -> None:
    with pytest.raises(ExitForNow, match="The address is taken") as ended:
        lifecycle.run(taken())
    assert ended.value.code != lifecycle.CANNOT_RUN


async def failed() -> None:
    raise ValueError("A fault.")


async def failed_twice() -> None:
    async with lifecycle.in_background(failed()):
        await asyncio.sleep(0)
        await raised()


@pytest.mark.parametrize(("work", "kind"), [(failed, ValueError), (failed_twice, BaseExceptionGroup)])
def test_a_fault_is_told_as_one(work: Callable[[], Coroutine[Any, Any, None]], kind: type[BaseException]) -> None:
    with pytest.raises(kind):
        lifecycle.run(work())


def test_every_setting_is_described() -> None:
    described = list(describe(Example))
    assert [one.name for one in described][:2] == ["JOURNEYMESH_EXAMPLE", "JOURNEYMESH_COUNT"]
    assert described[1].limits == "from 1 to 8"


def test_a_secret_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    assert secret(str(tmp_path / "password")) == "s3cret"
    assert secret("") is None
    with pytest.raises(SettingError, match="cannot be read"):
        secret(str(tmp_path / "absent"))
