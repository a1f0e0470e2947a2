"""What becomes of keys, whatever is done to them in whatever order."""

import asyncio
import dataclasses
from collections.abc import Collection, Sequence
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import FailedPrecondition, NotFound
from services.access.keys.adapters.memory import MemoryKeys
from services.access.keys.domain import lifecycle
from services.access.keys.domain.key import Credentials, Ending, Key
from services.access.keys.domain.refusal import Cause, Refusal
from services.access.keys.domain.tenant import Tenant
from services.access.keys.translation import VOCABULARY
from tests.access.builders import DAY_US, World, asked, key
from tests.builders import NOW_US, SECOND_US

NEVER: Final = 1 << 60
LIFETIMES: Final = st.sampled_from([0, 60, 3_600, 86_400])
GRACES: Final = st.sampled_from([0, 1, 3_600, 30 * 86_400])
PAUSES: Final = st.sampled_from([0, 1, 59, 60, 3_600, 86_400, 31 * 86_400])
CHANGES: Final = st.lists(
    st.one_of(
        st.tuples(st.just("create"), LIFETIMES, st.sampled_from(["pk", "sk", "adm"])),
        st.tuples(st.just("rotate"), st.integers(0, 9), GRACES),
        st.tuples(st.just("revoke"), st.integers(0, 9), st.none()),
        st.tuples(st.just("wait"), PAUSES, st.none()),
    ),
    max_size=25,
)


class Run:
    """Changes made one after another, and beside them what is expected: when each key ends, and as what."""

    def __init__(self) -> None:
        self.world = World()
        self.ends: dict[str, tuple[int, Ending]] = {}
        self.rotated: set[str] = set()
        self.revisions: list[str] = []

    async def create(self, lifetime: int, kind: str) -> None:
        issued = await self.world.access.create(asked(kind, lifetime_seconds=lifetime))
        end_us = self.world.now_us + lifetime * SECOND_US if lifetime else NEVER
        self.ends[issued.key.key_id] = (end_us, Ending.EXPIRED)

    async def rotate(self, number: int, grace: int) -> None:
        key_id = [*self.ends][number % len(self.ends)]
        before_us, ending = self.ends[key_id]
        if before_us <= self.world.now_us or key_id in self.rotated:
            with pytest.raises((FailedPrecondition, NotFound)):
                await self.world.access.rotate(key_id, grace)
            return
        issued, replaced = await self.world.access.rotate(key_id, grace)
        self.rotated.add(key_id)
        grace_us = self.world.now_us + grace * SECOND_US
        self.ends[key_id] = (grace_us, Ending.ROTATED) if grace_us < before_us else (before_us, ending)
        self.ends[issued.key.key_id] = (before_us, Ending.EXPIRED)
        assert replaced.key.successor_id == issued.key.key_id
        assert (issued.key.rights, issued.key.kind) == (replaced.key.rights, replaced.key.kind)
        assert bool(issued.key.credentials.identity_secret) == (issued.key.kind == "pk")

    async def revoke(self, number: int, _: None) -> None:
        key_id = [*self.ends][number % len(self.ends)]
        if self.ends[key_id][0] < self.world.now_us - 30 * DAY_US:
            with pytest.raises(NotFound):
                await self.world.access.revoke(key_id)
            return
        await self.world.access.revoke(key_id)
        if self.ends[key_id][0] > self.world.now_us:
            self.ends[key_id] = (self.world.now_us, Ending.REVOKED)

    async def wait(self, seconds: int, _: None) -> None:
        self.world.now_us += seconds * SECOND_US

    async def check(self) -> None:
        """Every key that is listed has ended if it should have; every one that is not ended long ago."""
        now_us, listed = self.world.now_us, {each.key.key_id: each for each in await self.world.access.listed()}
        assert listed.keys() <= self.ends.keys()
        for key_id, (end_us, ending) in self.ends.items():
            if key_id not in listed:
                assert end_us < now_us - 30 * DAY_US
                continue
            found = listed[key_id]
            assert found.has_ended == (end_us <= now_us)
            assert found.key.ended_as is ending
            assert (found.key.ends_us or NEVER) == end_us


@given(CHANGES)
def test_no_key_is_active_after_its_end_and_no_revision_comes_twice(changes: list[tuple[str, int, object]]) -> None:
    async def run() -> None:
        one = Run()
        for what, number, how in changes:
            before = await one.world.store.read()
            if what in {"rotate", "revoke"} and not one.ends:
                continue
            await getattr(one, what)(number, how)
            await one.check()
            after = await one.world.store.read()
            assert (after.revision == before.revision) == (after.keys == before.keys)
            if after.revision != before.revision:
                one.revisions.append(after.revision)
        assert len({*one.revisions}) == len(one.revisions)

    asyncio.run(run())


def test_a_revoked_key_has_ended_whatever_a_clock_says() -> None:
    revoked = lifecycle.revoke({"k1": key("k1")}, "k1", NOW_US)["k1"]
    assert revoked.has_ended(NOW_US - DAY_US)


class Doubtful(MemoryKeys):
    """Makes each change, but says at first that another came before, as after a lost answer."""

    async def change(
        self, put: Sequence[Key], dropped: Collection[str], before: str, after: str, tenants: Sequence[Tenant] = ()
    ) -> bool:
        """See `services.access.keys.ports.KeyStore`."""
        await super().change(put, dropped, before, after, tenants)
        return False


async def test_a_change_that_was_made_without_an_answer_is_not_made_again() -> None:
    access = World(Doubtful()).access
    old = await access.create(asked())
    new, replaced = await access.rotate(old.key.key_id, 60)
    revoked = await access.revoke(new.key.key_id)
    listed = {each.key.key_id: each for each in await access.listed()}
    assert listed == {old.key.key_id: replaced, new.key.key_id: revoked}
    assert (replaced.key.successor_id, revoked.has_ended) == (new.key.key_id, True)


def test_the_most_active_keys_are_those_after_the_change() -> None:
    full = {f"k{number}": key(f"k{number}") for number in range(lifecycle.MOST_ACTIVE)}
    new = Credentials("new", b"h", "")
    with pytest.raises(Refusal) as raised:
        lifecycle.rotate(full, "k1", 1, new, NOW_US)
    assert raised.value.cause is Cause.TOO_MANY
    assert "new" in lifecycle.rotate(full, "k1", 0, new, NOW_US)
    old = dataclasses.replace(full["k1"], ends_us=NOW_US)
    assert "new" in lifecycle.create({**full, "k1": old}, asked(), new, VOCABULARY, NOW_US)
