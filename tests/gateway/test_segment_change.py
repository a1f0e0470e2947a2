"""A customer's segment as systems say it: read on every way in, and said by nobody who may only tell what users do."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2
from journeymesh.common.v1.event_pb2 import RecommendedProduct, SegmentChange

from gateway.accepting.rows import Rows
from gateway.formats import native, rendering
from gateway.formats.native import EventSink
from gateway.http.caller import Caller
from mesh.errors import PermissionDenied
from mesh.keys import Scope
from tests.gateway.test_money import STAMP, Warnings, by_segment

BEANS = {"productId": "p-1", "name": "Beans", "reason": "due_again"}
READ_BEANS = RecommendedProduct(product_id="p-1", name="Beans", reason="due_again")
SAID = {
    "segment": "Champions",
    "previousSegment": "Loyal",
    "group": "Group 1",
    "previousGroup": "Group 2",
    "products": [BEANS],
}
READ = SegmentChange(
    segment="Champions", previous_segment="Loyal", group="Group 1", previous_group="Group 2", products=[READ_BEANS]
)


def by_track(**properties: Any) -> tuple[event_pb2.Event, Warnings]:
    warnings: Warnings = []
    rows = Rows()
    event = {"userId": "ada", "eventType": "segment_change", "properties": properties}
    native.read_event(json.dumps(event).encode(), EventSink(rows.add, STAMP, str, lambda *one: warnings.append(one)))
    return rows.table().event(0), warnings


def test_it_is_read_alike_from_our_own_format_and_from_segment() -> None:
    for event, warned in (by_track(**SAID), by_segment("Segment Change", **SAID)):
        assert event.event_type == event_pb2.EVENT_TYPE_SEGMENT_CHANGE
        assert (event.segment_change, warned) == (READ, [])


def test_a_message_of_that_name_without_a_segment_is_what_the_user_did() -> None:
    event, _ = by_segment("Segment Change", plan="pro")
    assert (event.event_type, event.target) == (event_pb2.EVENT_TYPE_FEATURE_INTERACTION, "Segment Change")


@pytest.mark.parametrize(
    ("sent", "expected", "warnings"),
    [
        ([BEANS], [READ_BEANS], 0),
        ([{"sku": 17}], [RecommendedProduct(product_id="17")], 0),
        ([{"name": "Beans"}], [RecommendedProduct(product_id="Beans", name="Beans")], 0),
        ([{}, "p-1", None, BEANS], [READ_BEANS], 1),
        ([BEANS] * 6, [READ_BEANS] * 5, 1),
        ("p-1", [], 0),
        (None, [], 0),
    ],
)
def test_a_product_that_cannot_be_read_costs_the_event_nothing(
    sent: object, expected: list[RecommendedProduct], warnings: int
) -> None:
    event, warned = by_track(segment="Loyal", products=sent)
    assert event.segment_change == SegmentChange(segment="Loyal", products=expected)
    assert [member for member, _ in warned] == ["products"] * warnings


@given(
    products=st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3))
)
def test_no_product_costs_a_segment(products: object) -> None:
    assert by_track(segment="Loyal", products=products)[0].segment_change.segment == "Loyal"


def test_one_whose_properties_were_not_kept_is_read_back() -> None:
    event, _ = by_track(**SAID)
    event.ClearField("properties")
    written = rendering.write_event(event)["properties"]
    assert by_track(**json.loads(msgspec.json.encode(written)))[0].segment_change == READ


def test_a_key_that_may_only_tell_what_users_do_says_no_segment() -> None:
    taken: list[dict[str, Any]] = []
    add = Caller(frozenset({Scope.WRITE_EVENTS})).guarded(lambda **members: taken.append(members), lambda *_: None)
    with pytest.raises(PermissionDenied, match="may not send"):
        add(event_type=event_pb2.EVENT_TYPE_SEGMENT_CHANGE, user_id="ada", rare={"segment_change": READ})
    assert taken == []
