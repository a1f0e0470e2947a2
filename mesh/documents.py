"""Reads documents in YAML that come from outside, within limits: by aliases a short text can mean billions of values.

Anchors, aliases and merge keys are followed. Tags are not, so nothing is run.
"""

from typing import Final

import yaml

MOST_CHARACTERS: Final = 4 * 1024 * 1024
MOST_VALUES: Final = 20_000
"""Values, keys included, once all aliases are followed."""
DEEPEST: Final = 50
_LONGEST_SCALAR: Final = 100
"""Characters of a value that is no text: numbers of many digits take long to read."""
_TEXT: Final = "tag:yaml.org,2002:str"
# A value that is not of the type it is tagged with ends in any of the latter: `!!bool tea`, `!!timestamp noon`.
_FAULTS: Final = (yaml.YAMLError, RecursionError, ValueError, LookupError, AttributeError, TypeError)


class DocumentError(Exception):
    """The text is no document, or a larger one than may be; the message ends a sentence that begins with its name."""


def tree(text: str | bytes) -> object:
    """What a document holds: lists, dictionaries and scalars; None if it is empty.

    Raises:
        DocumentError: it is no YAML, has more than one document, or is too large or too deep.
    """
    if len(text) > MOST_CHARACTERS:
        message = f"is larger than {MOST_CHARACTERS // (1024 * 1024)} MiB"
        raise DocumentError(message)
    try:
        loader = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return None
            _require_small(root)
            return loader.construct_document(root)
        finally:
            loader.dispose()
    except _FAULTS as error:
        mark = getattr(error, "problem_mark", None)
        message = f"is no YAML at line {mark.line + 1}" if mark else "is no YAML"
        raise DocumentError(message) from None


def _require_small(root: yaml.Node) -> None:
    """Returns if a document is small enough; counts what aliases mean without following one twice.

    Raises:
        DocumentError: it has too many values, is nested too deep, or contains itself.
    """
    measured: dict[int, tuple[int, int] | None] = {}

    def measure(node: yaml.Node) -> tuple[int, int]:
        """How many values a node means, and how deep they are nested."""
        if id(node) not in measured:
            measured[id(node)] = None
            parts = [measure(each) for each in _parts(node)]
            measured[id(node)] = 1 + sum(count for count, _ in parts), 1 + max((deep for _, deep in parts), default=0)
        found = measured[id(node)]
        if found is None:
            message = "contains itself"
            raise DocumentError(message)
        return found

    count, depth = measure(root)
    if count > MOST_VALUES:
        message = f"means more than {MOST_VALUES:,} values"
        raise DocumentError(message)
    if depth > DEEPEST:
        message = f"is nested more than {DEEPEST} deep"
        raise DocumentError(message)


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if node.tag != _TEXT and len(node.value) > _LONGEST_SCALAR:
        message = f"has over {_LONGEST_SCALAR} characters at line {node.start_mark.line + 1} that are no text"
        raise DocumentError(message)
    return []
