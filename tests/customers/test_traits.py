"""Declared traits are the last that were said, whatever the order in which they come; what is kept is bounded."""

import random

from hypothesis import given
from hypothesis import strategies as st

from services.customers.domain.traits import NAME_LENGTH, TRAITS_KEPT, VALUE_LENGTH, Declared, Trait, declare

NAMES = st.sampled_from([f"t-{number}" for number in range(TRAITS_KEPT + 8)])
SAID = st.lists(
    st.tuples(st.integers(0, 6), st.dictionaries(NAMES, st.none() | st.booleans() | st.integers(0, 9), max_size=20)),
    max_size=8,
)


@given(said=SAID, chance=st.randoms(use_true_random=False))
def test_any_order_gives_the_same_traits(said: list[tuple[int, dict[str, object]]], chance: random.Random) -> None:
    sent = [Declared(f"e-{number}", at, traits) for number, (at, traits) in enumerate(said)]
    once: dict[str, Trait] = {}
    again: dict[str, Trait] = {}
    for each in sent:
        declare(once, each)
    for each in chance.sample([*sent, *sent], 2 * len(sent)):
        declare(again, each)
    assert again == once
    assert len(once) <= TRAITS_KEPT
    every = {name for each in sent for name in each.traits}
    latest = {name: max((each.at, each.event) for each in sent if name in each.traits) for name in every}
    assert {name: (each.at, each.event) for name, each in once.items()} == dict(
        sorted(latest.items(), key=lambda item: (*item[1], item[0]))[-TRAITS_KEPT:]
    )


def test_what_is_no_value_is_left_out() -> None:
    kept: dict[str, Trait] = {}
    good = {"name": "Ada", "n" * NAME_LENGTH: 1, "long": "x" * VALUE_LENGTH, "share": 0.5}
    bad = {"": 1, "n" * (NAME_LENGTH + 1): 1, "list": [1], "longer": "x" * (VALUE_LENGTH + 1), "big": 1 << 60}
    declare(kept, Declared("e", 1, {**good, **bad, "email": "a@b.example", "pushTarget": "t"}))
    assert {name: each.value for name, each in kept.items()} == good
