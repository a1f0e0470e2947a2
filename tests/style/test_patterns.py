"""Patterns end where the text ends: in Python, `$` also matches before a line break that ends it."""

import ast
import re
from collections.abc import Iterator
from typing import Annotated, Final

import msgspec
import pytest

from gateway.contract import openapi
from gateway.routes.table import ROUTES
from records import patterns
from records.patterns import END
from tests.style.test_repository import ROOT, tracked

_TAKES_A_PATTERN: Final = frozenset({"compile", "match", "search", "fullmatch", "sub", "split", "findall", "finditer"})
_LOOSE: Final = re.compile(r"(?<!\\)(?:\\\\)*\$(?=\Z|[)|])")
"""A `$` that ends a pattern or a part of it."""


def loose(source: str) -> Iterator[int]:
    """The lines of patterns that a trailing line break gets through: of `re` by lines aside, and of `msgspec.Meta`."""
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        by_lines = any("MULTILINE" in ast.unparse(each) for each in (*call.args, *(k.value for k in call.keywords)))
        if isinstance(call.func.value, ast.Name) and call.func.value.id == "re":
            patterns = call.args[:1] if call.func.attr in _TAKES_A_PATTERN and not by_lines else []
        elif call.func.attr == "Meta":
            patterns = [each.value for each in call.keywords if each.arg == "pattern"]
        else:
            continue
        for pattern in patterns:
            text = "".join(str(part.value) for part in ast.walk(pattern) if isinstance(part, ast.Constant))
            if _LOOSE.search(text) and not text.startswith("(?m)"):
                yield call.lineno


def test_no_pattern_lets_a_trailing_line_break_through() -> None:
    rooms = {"topology", "comparison", "mesh", "records", "services", "gateway", "offline", "cli", "bench", "helm"}
    guilty = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in tracked("*.py")
        if path.relative_to(ROOT).parts[0] in rooms
        for line in loose(path.read_text())
    ]
    assert guilty == [], r"use `fullmatch` or `\Z`; in `msgspec.Meta`, which JSON Schema shares, `$(?!\n)`"


@pytest.mark.parametrize(
    ("source", "is_loose"),
    [
        ('re.match(r"^[a-z]+$", text)', True),
        ('re.compile("a$|b")', True),
        ('re.compile("(a$)")', True),
        ('msgspec.Meta(pattern=rf"^({NAME})?$")', True),
        (r'msgspec.Meta(pattern=r"^a$(?!\n)")', False),
        (r're.compile(r"^a\Z")', False),
        (r're.compile(r"costs \$")', False),
        ('re.compile("^a$", re.MULTILINE)', False),
    ],
)
def test_it_tells_loose_patterns_from_others(source: str, is_loose: bool) -> None:  # noqa: FBT001 - a case
    assert bool([*loose(source)]) == is_loose


class Named(msgspec.Struct):
    """Something with a name."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z]{1,3}$(?!\n)")]


@pytest.mark.parametrize("wrong", ["abc\n", "\nabc", "abcd", ""])
def test_the_end_that_python_and_json_schema_share(wrong: str) -> None:
    assert msgspec.convert({"name": "abc"}, Named)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"name": wrong}, Named)


def test_others_are_told_the_end_that_every_engine_reads() -> None:
    named = {"type": "object", "properties": {"pattern": {"type": "string", "pattern": f"^[a-z]+{END}"}}}
    assert patterns.told([named, (1, "^a$")]) == [
        {"type": "object", "properties": {"pattern": {"type": "string", "pattern": "^[a-z]+$"}}},
        [1, "^a$"],
    ]
    assert "(?!" not in (ROOT / "policies" / "schema.json").read_text()


def test_the_document_of_the_routes_has_no_lookahead() -> None:
    assert b"(?!" not in openapi.document(ROUTES)
