"""Policies in YAML, in files."""

import asyncio
import re
from pathlib import Path
from typing import Final

import yaml

from mesh import documents
from mesh.errors import Unavailable
from records.tenants import is_name
from services.intervention.policy.domain.interpretation import PolicyError
from services.intervention.policy.ports import Documents, refused, why_refused

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LARGEST: Final = 1024 * 1024


def parse(document: str) -> object:
    """What a document holds: lists, dictionaries and scalars; see `mesh.documents`.

    Raises:
        PolicyError: it is no YAML, or too large.
    """
    if why := why_refused(document):
        raise PolicyError(why)
    try:
        return documents.tree(document)
    except documents.DocumentError as error:
        message = f"the document {error}."
        raise PolicyError(message) from None


def written(tree: object) -> str:
    """A document that holds this; of the same tree the same text."""
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


class NamedFiles:
    """Documents that the values of arms name: files of a folder, `<value>.yaml`."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    async def read(self, name: str) -> str:
        """See `services.intervention.policy.ports.Texts`."""
        if not _NAME.fullmatch(name):
            return refused(f"the value of an arm names a file, and {name[:64]!r} cannot be one.")
        return await asyncio.to_thread(_text, self._folder / f"{name}.yaml")

    def names(self) -> list[str]:
        """The names of the documents, in order; none if the folder cannot be read."""
        try:
            files = [each for each in self._folder.iterdir() if each.suffix == ".yaml"]
        except OSError:
            return []
        return sorted(each.stem for each in files if _NAME.fullmatch(each.stem))


class PolicyFiles:
    """Files that may change: the mesh's document, and a folder of tenants' documents, `<tenant>.yaml`; empty: none."""

    def __init__(self, path: str, folder: str = "") -> None:
        self._path = Path(path)
        self._folder = Path(folder) if folder else None

    async def read(self) -> Documents:
        """The documents as they are now; for one that cannot be read, an error text that is no valid document.

        Raises:
            Unavailable: the folder cannot be read.
        """
        return await asyncio.to_thread(self._read)

    def _read(self) -> Documents:
        return Documents(_text(self._path), _texts(self._folder) if self._folder else None)


def _texts(folder: Path) -> dict[str, str]:
    """The documents of a folder, by tenant; other files may be there."""
    try:
        paths = [each for each in folder.iterdir() if each.suffix == ".yaml" and is_name(each.stem)]
    except OSError as error:
        detail = f"The folder of tenants' policies cannot be read: {error.strerror}."
        raise Unavailable("DEPENDENCY_UNAVAILABLE", detail) from error
    return {path.stem: _text(path) for path in paths}


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            document = file.read(_LARGEST + 1)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        return refused(f"the file cannot be read: {why}.")
    return document if len(document) <= _LARGEST else refused("the file cannot be read: it is larger than 1 MiB.")
