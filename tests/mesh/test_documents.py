"""Documents in YAML: what they mean, and how little a short one may make of its reader."""

import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mesh.documents import DEEPEST, MOST_CHARACTERS, MOST_VALUES, DocumentError, tree

LISTS = "\n".join(["a0: &a0 [1, 1]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40))])
"""Billions of values by aliases."""
MERGES = "\n".join(
    ["a0: &a0 {k: 1}", *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 40))]
)
"""Billions of members by merge keys."""
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_a_document_means_what_was_written(value: object) -> None:
    assert tree(yaml.safe_dump(value, allow_unicode=True)) == value


def test_aliases_and_merge_keys_are_followed() -> None:
    text = "base: &base {type: coupon, cost: 2}\nactions: [{<<: *base, name: a}, {<<: *base, cost: 3}]"
    assert tree(text) == yaml.safe_load(text)
    assert tree("") is None
    assert tree("größe: 1".encode()) == {"größe": 1}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (LISTS, f"means more than {MOST_VALUES:,} values"),
        (MERGES, f"means more than {MOST_VALUES:,} values"),
        ("- x\n" * (MOST_VALUES + 1), f"means more than {MOST_VALUES:,} values"),
        ("a: &a [*a]", "contains itself"),
        ("a: &a {<<: *a}", "contains itself"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), f"is nested more than {DEEPEST} deep"),
        ("[" * 100_000, "is no YAML"),
        ("x" * (MOST_CHARACTERS + 1), "is larger than 4 MiB"),
        ("a: 1" + ":1" * 200_000, "has over 100 characters at line 1 that are no text"),
        ("a: " + "9" * 5_000, "has over 100 characters at line 1 that are no text"),
        ("a: 1\nb: [", "is no YAML at line 2"),
        ("a: 1\n---\nb: 2", "is no YAML"),
        ("a: !!python/object:os.system {}", "is no YAML at line 1"),
        ("a: !!timestamp noon", "is no YAML"),
        (b"\xff\xfe\x00", "is no YAML"),
    ],
)
def test_what_is_too_much_is_refused_at_once(text: str | bytes, sentence: str) -> None:
    began = time.process_time()
    with pytest.raises(DocumentError, match=f"^{sentence}"):
        tree(text)
    assert time.process_time() - began < 20
