"""Settings: read from the environment, refused with a sentence."""

import dataclasses
from pathlib import Path

import pytest

from mesh.process import lifecycle
from mesh.settings import SettingError, describe, read, secret, setting


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


def test_a_process_whose_setting_cannot_be_used_ends_with_a_sentence() -> None:
    async def work() -> None:
        raise SettingError("The key cannot be used.")

    with pytest.raises(SystemExit, match=r"^journeymesh: The key cannot be used\.$"):
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
