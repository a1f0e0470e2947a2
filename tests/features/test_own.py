"""The installation's own columns: what is taken, what is kept, and what is sent; the same offline."""

import json
from pathlib import Path
from typing import Any, Final, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.common.v1 import position_pb2
from journeymesh.features.v1 import features_pb2

from mesh.observability.metrics import Metrics
from mesh.state.memory import MemoryState
from offline.declared import mapped, mapping
from offline.declared.reading import Profile
from offline.training.watching import Watch
from services.features.domain import history, own
from services.features.domain.own import Columns
from services.features.servicer import FeaturesServicer
from services.features.usecases import Features
from tests.builders import NOW_US, event

NO_CONTEXT: Final = cast("Any", None)
COLUMNS = Columns(("price", "items"), ("plan",))
_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 10**13), st.floats(), st.sampled_from(["", "1.5", "Pro", " pro ", "nan"])
)


async def _answer(*properties: object, columns: Columns = COLUMNS) -> features_pb2.ApplyEventsResponse:
    """The answer after one user's events with these properties, a second apart."""
    servicer = FeaturesServicer(Features(MemoryState(), columns), Metrics())
    events = [
        event(f"e{index}", event_time_us=NOW_US + index * 1_000_000, properties=said)
        for index, said in enumerate(
            each if isinstance(each, bytes) else json.dumps(each).encode() for each in properties
        )
    ]
    position = position_pb2.BatchPosition(stream="events", shard="0", sequences=["1"])
    return await servicer.ApplyEvents(features_pb2.ApplyEventsRequest(position=position, events=events), NO_CONTEXT)


def _last(inputs: features_pb2.Inputs) -> dict[str, Any]:
    names, words = list(inputs.names), list(inputs.word_names)
    numbers = dict(zip(names, list(inputs.values)[-len(names) :], strict=True))
    return numbers | {
        name: inputs.words[cell] for name, cell in zip(words, list(inputs.cells)[-len(words) :], strict=True)
    }


async def test_declared_properties_become_columns() -> None:
    found = _last((await _answer({"price": 3, "plan": "Pro"}, {"price": "-1", "other": 9}, {"plan": "Free"})).inputs)
    assert {name: found[f"price.{name}"] for name in own.OF_NUMBER} == {
        "last": -1,
        "sum": 2,
        "mean": 1,
        "most": 3,
        "count": 2,
    }
    assert (found["items.count"], found["items.last"], found["plan"]) == (0, 0, "free")


@pytest.mark.parametrize("properties", [b"", b"[1]", b"{", b"\xff", {"price": None}, {"price": [1]}, {"price": "much"}])
async def test_what_is_no_number_says_nothing_and_loses_nothing(properties: object) -> None:
    answer = await _answer({"price": 3}, properties)
    assert _last(answer.inputs)["price.count"] == 1
    assert len(answer.values) == 2 * answer.feature_count


async def test_without_declared_columns_only_history_is_sent() -> None:
    inputs = (await _answer({"price": 3}, columns=Columns())).inputs
    assert tuple(inputs.names) == history.NAMES
    assert not inputs.word_names


@given(rows=st.lists(st.tuples(_VALUES, _VALUES), min_size=1, max_size=8))
def test_values_are_bounded(rows: list[tuple[object, object]]) -> None:
    numbers: dict[str, own.Number] = {}
    words: dict[str, own.Word] = {}
    for at_us, (price, plan) in enumerate(rows, 1):
        said = own.taken(COLUMNS, {"price": price, "plan": plan}.get)
        if said is not None:
            own.note(numbers, words, said, at_us)
    assert all(abs(value) <= own.NUMBER_LIMIT for value in own.values(numbers, COLUMNS))
    assert all(len(word) <= own.WORD_LIMIT for word in own.latest(words, COLUMNS))


def test_a_late_event_changes_sums_and_not_the_latest() -> None:
    numbers: dict[str, own.Number] = {}
    words: dict[str, own.Word] = {}
    own.note(numbers, words, own.Own({"price": 1.0}, {"plan": "pro"}), 20)
    own.note(numbers, words, own.Own({"price": 5.0}, {"plan": "free"}), 10)
    assert own.values(numbers, Columns(("price",))) == [1.0, 6.0, 3.0, 5.0, 2.0]
    assert own.latest(words, COLUMNS) == ["pro"]


async def test_offline_has_the_same_columns_bit_for_bit(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(
        "user: who\ntime: {column: at, format: unix_us}\nnumbers: [price, items]\ncategories: [plan]"
    )
    columns, _ = mapping.read(tmp_path / "m.yaml")
    said: list[dict[str, object]] = [
        {"price": 0.1, "plan": "Pro"},
        {"price": 0.2, "items": 7},
        {"plan": "Free", "items": True},
    ]
    watch = Watch(columns.own)
    rows = [
        {"who": "ada", "at": str(NOW_US + index * 1_000_000), "price": "", "items": "", "plan": ""}
        | {name: str(value) for name, value in each.items()}
        for index, each in enumerate(said)
    ]
    for row in mapped.taken(rows, columns, Profile()):
        assert not isinstance(row, str)
        watch.take(row.event)
    seen, inputs = watch.seen(watch.state.last_us), (await _answer(*said)).inputs
    served = list(inputs.values)[-len(inputs.names) :]
    assert seen.values[13 + len(history.NAMES) :] == served[len(history.NAMES) :]
    assert seen.words == [_last(inputs)["plan"]]


@pytest.mark.parametrize(("numbers", "words"), [("a,a", ""), ("a", "a"), (",".join(map(str, range(33))), "")])
def test_columns_that_make_no_sense_are_refused(numbers: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"twice|At most"):
        own.declared(numbers, words)
    assert own.declared(" a, b ,", "c") == Columns(("a", "b"), ("c",))


@pytest.mark.parametrize("columns", [Columns(), COLUMNS])
async def test_history_is_left_out_where_no_model_takes_it_and_nothing_else_changes(columns: Columns) -> None:
    servicer = FeaturesServicer(Features(MemoryState(), columns), Metrics())
    request = features_pb2.ApplyEventsRequest(
        position=position_pb2.BatchPosition(stream="events", shard="0", sequences=["1"]),
        events=[event("e1", properties=b'{"price": 3, "plan": "Pro"}'), event("e2", event_time_us=NOW_US + 1)],
        leaves_out_history=True,
    )
    without = await servicer.ApplyEvents(request, NO_CONTEXT)
    assert tuple(without.inputs.names) == columns.number_names
    request.leaves_out_history = False
    again = await servicer.ApplyEvents(request, NO_CONTEXT)
    assert tuple(again.inputs.names) == (*history.NAMES, *columns.number_names)
    assert list(again.values) == list(without.values)
    width, own_width = len(again.inputs.names), len(columns.number_names)
    rows = [list(again.inputs.values)[row * width : (row + 1) * width] for row in range(2)]
    assert [cell for row in rows for cell in row[width - own_width :]] == list(without.inputs.values)
