"""Policies in YAML, in files."""

import asyncio
from pathlib import Path
from typing import Final

import yaml

from services.intervention.policy.domain.interpretation import PolicyError

_LARGEST: Final = 1024 * 1024
# Starts an error text that stands in for a document; no YAML contains it.
_UNREAD: Final = "\0"


def parse(document: str) -> object:
    """What a document holds: lists, dictionaries and scalars. No tags are followed, so that nothing is run.

    Raises:
        PolicyError: it is no YAML.
    """
    if document.startswith(_UNREAD):
        message = f"the file cannot be read: {document.removeprefix(_UNREAD)}."
        raise PolicyError(message)
    try:
        return yaml.safe_load(document)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        message = f"the document is no YAML{where}."
        raise PolicyError(message) from None


class PolicyFile:
    """A file that may change."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    async def read(self) -> str:
        """The document as it is now; if it cannot be read, an error text that is no valid document."""
        try:
            return await asyncio.to_thread(self._text)
        except (OSError, UnicodeDecodeError) as error:
            return f"{_UNREAD}{error.strerror if isinstance(error, OSError) else error}"

    def _text(self) -> str:
        with self._path.open(encoding="utf-8") as file:
            document = file.read(_LARGEST + 1)
        return document if len(document) <= _LARGEST else f"{_UNREAD}it is larger than 1 MiB"
