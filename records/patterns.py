"""Patterns of JSON Schema as they are checked here, and as others are told them."""

from typing import Any, Final

END: Final = r"$(?!\n)"
"""How a pattern ends that msgspec checks: Python's `$` alone also matches before a line break that ends the text."""


def told(schema: Any) -> Any:  # noqa: ANN401 - a schema
    """A schema in which such patterns end in `$`: the end in JSON Schema, for engines without lookahead too."""
    if isinstance(schema, dict):
        return {name: _told(value) if name == "pattern" else told(value) for name, value in schema.items()}
    return [told(each) for each in schema] if isinstance(schema, (list, tuple)) else schema


def _told(pattern: Any) -> Any:  # noqa: ANN401 - the pattern, or a property of this name
    return f"{pattern.removesuffix(END)}$" if isinstance(pattern, str) and pattern.endswith(END) else told(pattern)
