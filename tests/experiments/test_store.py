"""The store of experiments: the port over every adapter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comparison.sums import Sums
from mesh.errors import VersionMismatch
from mesh.store import redis
from services.experiments.adapters import packing
from services.experiments.adapters.memory import MemoryExperiments
from services.experiments.adapters.redis import RedisExperiments
from services.experiments.domain.definition import Score
from services.experiments.domain.evidence import NONE_YET, Group, Totals, UnitState, Value
from services.experiments.domain.experiment import changed, created
from services.experiments.ports import Evidence, ExperimentStore
from tests.experiments.examples import GUARDED, NOON_US

DRAFT = created("", GUARDED._replace(score=Score()), "ann", "Größe 😀", NOON_US)
UNIT = UnitState("new", False, False, 0.25, {"sold": Value(1, 1.0, 1.0, NOON_US)}, (1 << 52, 7))
TOTALS = Totals(
    {"new": Group(1, {"sold": Sums(1.0, 1.0, 1.0, 1.0, 1.0, 0.25, 0.0625, 0.25)})}, {"control": Group(2, {})}, 3, 4
)


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, valkey: redis.Client) -> ExperimentStore:
    return MemoryExperiments() if request.param == "memory" else RedisExperiments(valkey)


async def test_what_is_put_is_found(store: ExperimentStore) -> None:
    assert await store.changes() == 0
    assert await store.all() == []
    assert await store.get("", "sales") is None
    assert await store.put(DRAFT, 0)
    other = DRAFT._replace(tenant="acme")
    assert await store.put(other, 0)
    assert await store.get("", "sales") == DRAFT
    assert sorted(await store.all()) == [DRAFT, other]
    assert sorted(await store.names()) == [("", "sales"), ("acme", "sales")]
    assert await store.changes() == 2


async def test_who_has_not_seen_the_last_change_puts_nothing(store: ExperimentStore) -> None:
    started = changed(DRAFT, "start", "ann", "", NOON_US)
    assert not await store.put(started, 1)
    assert await store.put(DRAFT, 0)
    assert not await store.put(DRAFT, 0)
    assert await store.put(started, 1)
    assert not await store.put(started, 1)
    assert await store.get("", "sales") == started


async def test_what_is_counted_is_of_one_moment(store: ExperimentStore) -> None:
    nothing = await store.evidence("", "sales", ["a"])
    assert nothing == Evidence(0, NONE_YET, {})
    assert await store.count("", "sales", nothing, TOTALS, {"a": UNIT})
    assert not await store.count("", "sales", nothing, NONE_YET, {"a": UNIT._replace(arm="control"), "b": UNIT})
    assert await store.evidence("", "sales", ["b", "a"]) == Evidence(1, TOTALS, {"a": UNIT})
    assert await store.evidence("acme", "sales", ["a"]) == nothing
    assert await store.evidence("", "other", ["a"]) == nothing


async def test_units_are_forgotten_and_totals_are_not(store: ExperimentStore) -> None:
    await store.count("", "sales", await store.evidence("", "sales", ()), TOTALS, {"a": UNIT})
    for _ in range(2):
        await store.forget_units("", "sales")
        assert await store.evidence("", "sales", ["a"]) == Evidence(1, TOTALS, {})


async def test_no_unit_can_be_read_from_the_store(valkey: redis.Client) -> None:
    store = RedisExperiments(valkey)
    await store.count("", "sales", await store.evidence("", "sales", ()), TOTALS, {"ann@example.com": UNIT})
    found = [key async for keys in redis.scan(valkey, "*") for key in keys]
    assert found
    for key in found:
        assert "example" not in key
        assert b"example" not in repr(await valkey.hgetall(key)).encode()


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.builds(Value, st.integers(0, 9), st.floats(-9, 9), st.floats(-9, 9), st.integers(0, 1 << 53)),
        max_size=3,
    ),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.integers(0, 1 << 53), max_size=32),
)
def test_units_are_read_as_they_were_written(
    values: dict[str, Value], before: float | None, reports: list[int]
) -> None:
    unit = UnitState("new", True, True, before, values, tuple(reports))
    assert packing.unit_of(packing.pack(unit)) == unit


def test_what_a_newer_build_stored_is_not_read() -> None:
    for read, value in ((packing.unit_of, UNIT), (packing.totals_of, TOTALS), (packing.experiment_of, DRAFT)):
        newer = packing.pack(value).replace(b"\x92\x01", b"\x92\x02", 1)
        with pytest.raises(VersionMismatch):
            read(newer)
