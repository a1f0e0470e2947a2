"""Where models are kept: a folder and a bucket do the same."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import boto3
import numpy as np
import pytest

from mesh.errors import FailedPrecondition, NotFound, Unavailable
from mesh.settings import SettingError
from services.scoring.adapters import stages_file
from services.scoring.adapters.model_directory import ModelDirectory, Place, place
from services.scoring.adapters.model_folder import ModelFolder
from services.scoring.domain import stages
from services.scoring.domain.schema import FEATURE_COUNT
from services.scoring.domain.stages import EVERYBODY, Stage, Stages, Wanted
from tests.buckets import new_bucket, serving
from tests.builders import NOW_US
from tests.scoring.builders import MODELS

Another = Callable[[], Place]
"""Opens the same place, as another process does."""

LIVE = ModelDirectory(MODELS).live().card.version


@pytest.fixture(params=["folder", "bucket"])
def another(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Another:
    if request.param == "folder":
        return lambda: ModelFolder(tmp_path / "registry")
    url = new_bucket(monkeypatch, request.getfixturevalue("s3"))
    return lambda: place(url)


def files_of(version: str) -> dict[str, bytes]:
    """The shipped model's files under another version."""
    files = {path.name: path.read_bytes() for path in (MODELS / LIVE).iterdir()}
    files["model.json"] = files["model.json"].replace(LIVE.encode(), version.encode())
    return files


def live(version: str) -> Callable[[Stages], Stages]:
    return lambda now: stages.changed(now, Wanted(version, Stage.LIVE, "ops"), NOW_US)


def test_a_place_without_models_serves_the_shipped_one_until_it_has_its_own(another: Another) -> None:
    assert another().stages.read() is None
    models = ModelDirectory(another(), MODELS)
    assert models.live().card.version == LIVE
    another().write("own", files_of("own"))
    models.change(live("own"))
    started = ModelDirectory(another(), MODELS)
    assert started.live().card.version == "own"
    assert [each.version for each in started.versions()] == [LIVE, "own"]
    row = np.zeros((1, FEATURE_COUNT))
    assert started.live().predict(row) == ModelDirectory(MODELS).live().predict(row)


def test_others_follow_a_change(another: Another) -> None:
    another().write("own", files_of("own"))
    first, second = (ModelDirectory(another(), MODELS) for _ in range(2))
    assert first.live().card.version == second.live().card.version == LIVE
    first.change(live("own"))
    second.refresh()
    assert second.live().card.version == "own"


def test_a_version_that_is_not_complete_is_none(another: Another) -> None:
    half = files_of("half")
    del half["model.json"]
    another().write("half", half)
    models = ModelDirectory(another(), MODELS)
    assert [each.version for each in models.versions()] == [LIVE]
    with pytest.raises((FailedPrecondition, NotFound)):
        models.load("half")
    another().write("half", files_of("half"))
    assert models.load("half").card.version == "half"


def test_of_many_changes_at_once_none_is_lost(another: Another) -> None:
    another().stages.change(lambda now: now or stages.starting("a"))

    def change(number: int) -> None:
        wanted = Wanted(f"v{number}", Stage.SHADOW, "ops")
        another().stages.change(lambda now: stages.changed(now or stages.starting(""), wanted, NOW_US))

    threads = [threading.Thread(target=change, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = another().stages.read()
    assert found is not None
    assert {each.version for each in found.changes} == {f"v{number}" for number in range(6)}
    assert found.revision == 6


def test_stages_that_somebody_made_meanwhile_are_not_overwritten(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (place(url) for url in [new_bucket(monkeypatch, s3)] * 2)

    def change(now: Stages | None) -> Stages:
        if now is None:
            other.stages.change(lambda _: stages.starting("first"))
        return stages.changed(now or stages.starting("second"), Wanted("v", Stage.SHADOW, "ops"), NOW_US)

    assert one.stages.change(change).tenants[EVERYBODY].live == "first"


def test_a_bucket_that_cannot_be_reached_leaves_what_serves_until_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as address:
        url = new_bucket(monkeypatch, address)
        place(url).write("own", files_of("own"))
        models = ModelDirectory(place(url), MODELS)
        models.change(live("own"))
    models.refresh()
    assert models.live().card.version == "own"
    assert models.problems == {"": "The bucket of the models cannot be reached."}
    started = ModelDirectory(place(url), MODELS)
    with pytest.raises(Unavailable):
        started.served()
    with serving(int(address.rpartition(":")[2])):
        for each in (models, started):
            each.refresh()
            assert not each.problems
            assert each.live().card.version == "own"


def test_a_bucket_that_is_missing_says_so(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    new_bucket(monkeypatch, s3)
    with pytest.raises(Unavailable, match="NoSuchBucket"):
        place("s3://nobody-made-this/models").names()


def test_damaged_stages_in_a_bucket_are_no_stages(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = new_bucket(monkeypatch, s3)
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    boto3.client("s3").put_object(Bucket=bucket, Key=f"{prefix}/stages.json", Body=b"{")
    with pytest.raises(stages_file.StagesFileError):
        place(url).stages.read()


@pytest.mark.parametrize("url", ["s3://", "https://models", "file://models", "s3://bucket/a?b=c"])
def test_a_url_that_is_none_is_refused_in_a_sentence(url: str) -> None:
    with pytest.raises(SettingError, match="must be a folder or like s3://bucket/prefix"):
        place(url)


def test_a_folder_is_named_by_its_path_or_url(tmp_path: Path) -> None:
    shutil.copytree(MODELS / LIVE, tmp_path / LIVE)
    assert place(str(tmp_path)).names() == place(tmp_path.as_uri()).names() == {LIVE}
