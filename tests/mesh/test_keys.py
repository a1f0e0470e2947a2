"""The texts of keys: made, recognised, and refused when a letter is wrong."""

import random
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from mesh import keys

KINDS: Final = st.sampled_from(keys.Kind)


def text_of(kind: keys.Kind, seed: int) -> str:
    return keys.new_text(kind, random.Random(seed).randbytes)  # noqa: S311 - a key of a test


@given(KINDS, st.integers(0, 1000))
def test_a_new_key_is_recognised_with_its_kind_and_id(kind: keys.Kind, seed: int) -> None:
    text = text_of(kind, seed)
    found = keys.presented(text)
    assert found is not None
    assert found.kind == kind
    assert text.split("_")[2] == found.key_id
    assert len(found.text_hash) == 32


@given(KINDS, st.integers(0, 1000), st.data())
def test_a_mistyped_cut_or_swapped_key_is_none(kind: keys.Kind, seed: int, data: st.DataObject) -> None:
    text = text_of(kind, seed)
    place = data.draw(st.integers(0, len(text) - 2))
    letter = data.draw(st.sampled_from("0aZ_- é\n"))
    swapped = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    for wrong in (text[:place] + letter + text[place + 1 :], text[:place], text + letter, swapped):
        assert wrong == text or keys.presented(wrong) is None


def test_keys_of_extreme_bytes_have_the_same_length() -> None:
    lowest = keys.new_text(keys.Kind.SECRET, lambda count: b"\0" * count)
    highest = keys.new_text(keys.Kind.SECRET, lambda count: b"\xff" * count)
    assert len(lowest) == len(highest) == 78
    assert keys.presented(lowest)
    assert keys.presented(highest)


def test_no_kind_may_usually_do_more_than_it_may_at_most() -> None:
    for kind in keys.Kind:
        assert keys.USUAL_SCOPES[kind] <= keys.LARGEST_SCOPES[kind]
