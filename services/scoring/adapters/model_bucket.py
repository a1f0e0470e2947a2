"""A bucket with models: `s3://bucket/prefix`, laid out as a folder is. Several scoring services may share it.

Versions are copied to a temporary folder when they are first asked for; a version never changes. The stages are one
object, replaced only if nobody has replaced it since it was read (`If-Match`).
"""

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from mesh.errors import Unavailable
from mesh.settings import SettingError
from services.scoring.adapters import stages_file
from services.scoring.adapters.model_folder import DESCRIPTION
from services.scoring.domain.stages import Stages

_STAGES: Final = "stages.json"
_CONFIG: Final = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "max_attempts": 2})
_ATTEMPTS: Final = 20
_MISSING: Final = frozenset({"404", "NoSuchKey"})
_REPLACED: Final = frozenset({"412", "409", "PreconditionFailed", "ConditionalRequestConflict"})
_REFUSED: Final = frozenset({"403", "AccessDenied"})


class ModelBucket:
    """See `services.scoring.adapters.model_directory.Place`.

    Address and credentials come as for every AWS client, from the environment or the machine's role.

    Raises:
        SettingError: the URL names no bucket.
    """

    look_seconds: Final = 5.0

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
            message = f"The registry of models must be a folder or like s3://bucket/prefix, not {url!r}."
            raise SettingError(message)
        try:
            client = boto3.client("s3", config=_CONFIG)
        except BotoCoreError as error:
            message = f"The registry of models {url} cannot be used: {error}"
            raise SettingError(message) from error
        self._url = url.rstrip("/")
        self._objects = _Objects(client, parts.netloc, parts.path.strip("/"))
        self._copies = Path(tempfile.mkdtemp(prefix="journeymesh-models-"))
        weakref.finalize(self, shutil.rmtree, self._copies, ignore_errors=True)
        self.stages = StagesObject(self._objects)

    def __str__(self) -> str:
        return self._url

    def is_folder(self, path: Path) -> bool:  # noqa: ARG002 - it is none
        """See `Place`."""
        return False

    def names(self) -> set[str]:
        """See `Place`."""
        found = (key.partition("/") for key in self._objects.keys(""))
        return {version for version, _, name in found if name == DESCRIPTION}

    def folder(self, version: str) -> Path | None:
        """See `Place`."""
        copy = self._copies / version
        if copy.is_dir():
            return copy
        names = [key.removeprefix(f"{version}/") for key in self._objects.keys(f"{version}/")]
        if DESCRIPTION not in names:
            return None
        with tempfile.TemporaryDirectory(dir=self._copies) as new:
            made = Path(new) / "made"
            made.mkdir()
            for name in names:
                if "/" not in name:
                    (made / name).write_bytes(self._objects.read(f"{version}/{name}")[0])
            if not copy.exists():
                made.rename(copy)
        return copy

    def write(self, version: str, files: Mapping[str, bytes]) -> None:
        """See `Place`."""
        for name in sorted(files, key=lambda name: name == DESCRIPTION):
            self._objects.write(f"{version}/{name}", files[name])


class StagesObject:
    """The stages as an object of a bucket; see `services.scoring.adapters.model_directory.StagesStore`."""

    def __init__(self, objects: "_Objects") -> None:
        self._objects = objects

    def mark(self) -> object:
        """See `StagesStore`."""
        return self._objects.mark(_STAGES)

    def read(self) -> Stages | None:
        """See `StagesStore`."""
        content, _ = self._objects.read(_STAGES, missing=b"")
        return stages_file.decode(content) if content else None

    def change(self, change: Callable[[Stages | None], Stages]) -> Stages:
        """See `StagesStore`."""
        for _ in range(_ATTEMPTS):
            content, mark = self._objects.read(_STAGES, missing=b"")
            new = change(stages_file.decode(content) if content else None)
            if self._objects.replace(_STAGES, stages_file.encode(new), mark):
                return new
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "The stages of the models are changed by others all the time.")


class _Objects:
    """The objects below a prefix."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:  # noqa: ANN401 - boto3 has no types
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    def keys(self, below: str) -> list[str]:
        """The keys that begin so, without the prefix."""
        with _reachable():
            listed = self._client.get_paginator("list_objects_v2")
            pages = listed.paginate(Bucket=self._bucket, Prefix=self._prefix + below)
            return [each["Key"].removeprefix(self._prefix) for page in pages for each in page.get("Contents", ())]

    def mark(self, key: str) -> str | None:
        """The mark of an object's content; None if it is missing."""
        with _reachable():
            try:
                return str(self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)["ETag"])
            except ClientError as error:
                if _code(error) in _MISSING:
                    return None
                raise

    def read(self, key: str, missing: bytes | None = None) -> tuple[bytes, str | None]:
        """An object's content and mark; `missing` and None if it is missing and may be."""
        with _reachable():
            try:
                found = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
                return found["Body"].read(), str(found["ETag"])
            except ClientError as error:
                if missing is None or _code(error) not in _MISSING:
                    raise
                return missing, None

    def write(self, key: str, content: bytes) -> None:
        """Writes an object."""
        with _reachable(writes=True):
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=content)

    def replace(self, key: str, content: bytes, mark: str | None) -> bool:
        """Writes an object whose content still has this mark, or that is still missing; False if it is not so."""
        condition = {"IfNoneMatch": "*"} if mark is None else {"IfMatch": mark}
        with _reachable(writes=True):
            try:
                self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=content, **condition)
            except ClientError as error:
                if _code(error) in _REPLACED:
                    return False
                raise
        return True


@contextmanager
def _reachable(*, writes: bool = False) -> Iterator[None]:
    """Raises `Unavailable` where the bucket cannot be asked, and `PermissionError` where it may not be written to."""
    try:
        yield
    except ClientError as error:
        if writes and _code(error) in _REFUSED:
            raise PermissionError(0, "the bucket refuses it") from error
        raise Unavailable("DEPENDENCY_UNAVAILABLE", f"The bucket of the models answers {_code(error)}.") from error
    except BotoCoreError as error:
        raise Unavailable("DEPENDENCY_UNAVAILABLE", "The bucket of the models cannot be reached.") from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
