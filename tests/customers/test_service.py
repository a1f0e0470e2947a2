"""The service behind a real server: effects once, readers, erasure, export."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2
from journeymesh.customers.v1 import customers_pb2 as wire
from journeymesh.customers.v1.customers_pb2_grpc import (
    CustomersServiceStub,
    add_CustomersServiceServicer_to_server,
)

from mesh.errors import FailedPrecondition, InvalidArgument, NotFound
from mesh.state import applied
from mesh.state.memory import MemoryState
from services.customers.adapters.memory import MemoryFits
from services.customers.domain.history import Bought
from services.customers.domain.publishing import Published
from services.customers.servicer import CustomersServicer
from services.customers.translation import rows_of
from services.customers.usecases import Purchases
from tests.builders import NOW_US
from tests.customers.builders import DAY_MS, back, events, line, paid
from tests.customers.fits import learnt
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.customers.v1.customers_pb2_grpc import CustomersServiceAsyncStub

NOW_MS = NOW_US // 1000
FIT = learnt().fit


@pytest.fixture
async def stub() -> AsyncIterator["CustomersServiceAsyncStub"]:
    servicer = CustomersServicer(Purchases(MemoryState(), MemoryFits()), lambda: NOW_US)
    async with serving(lambda server: add_CustomersServiceServicer_to_server(servicer, server)) as channel:
        yield CustomersServiceStub(channel)


def request(sequence: int, rows: Sequence[Bought], user_id: str = "ada") -> wire.ApplyPurchasesRequest:
    """The batch of one record as the dispatcher sends it."""
    made = wire.ApplyPurchasesRequest(purchases=[row(each, user_id) for each in rows])
    made.position.stream, made.position.shard = "events", "3"
    made.position.sequences.append(str(sequence))
    return made


def row(of: Bought, user_id: str = "ada") -> wire.PurchaseRow:
    lines = [
        event_pb2.OrderLine(
            product_id=each.product, name=each.name, category=each.category, quantity=each.quantity, price=each.price
        )
        for each in of.lines
    ]
    bought = event_pb2.Purchase(
        amount=of.amount, currency=of.currency, is_refund=of.is_refund, order_id=of.order, lines=lines
    )
    return wire.PurchaseRow(user_id=user_id, event_id=of.event, event_time_us=of.at * 1000, purchase=bought)


@given(sent=events())
def test_a_row_says_what_the_event_did(sent: list[Bought]) -> None:
    assert rows_of(request(1, sent)) == [("ada", each) for each in sent]


@settings(deadline=None, max_examples=30)
@given(
    records=st.lists(events(4), min_size=1, max_size=5),
    cuts=st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=6),
)
async def test_cuts_and_redeliveries_change_nothing(records: list[list[Bought]], cuts: list[tuple[int, bool]]) -> None:
    async def deliver(to: MemoryState, sequence: int, parts: Sequence[list[Bought]], *, is_retraction: bool) -> None:
        sequences = tuple(range(sequence, sequence + len(parts)))
        at = applied.Batch("events", "3", sequences, is_retraction=is_retraction)
        await Purchases(to, MemoryFits()).apply(at, [("ada", each) for part in parts for each in part])

    once, often, checkpoint = MemoryState(), MemoryState(), 0
    for sequence, events_of in enumerate(records):
        await deliver(once, sequence, [events_of], is_retraction=False)
    while checkpoint < len(records):
        length, is_checkpointed = cuts.pop() if cuts else (1, True)
        end = min(checkpoint + length, len(records))
        await deliver(often, checkpoint, records[checkpoint:end], is_retraction=False)
        if not is_checkpointed:
            await deliver(often, checkpoint, records[checkpoint:end], is_retraction=True)
        checkpoint = end if is_checkpointed else checkpoint
    for key, blob in once._values.items():
        assert applied.current(blob) == applied.current(often._values[key])


async def test_a_customer_is_told_with_their_orders(stub: "CustomersServiceAsyncStub") -> None:
    first = paid("e-1", NOW_MS - 30 * DAY_MS, "o-1", 20.0, "EUR", line("p", 2, 5.0), line("q", 1, 10.0))
    second = paid("e-2", NOW_MS - 20 * DAY_MS, "o-2", 8.0)
    third = paid("\x1facme\x1fe-3", NOW_MS - 5 * DAY_MS, "", 7.0, "USD")
    refund = back("e-4", NOW_MS - 4 * DAY_MS, "o-1", 5.0, "EUR", line("p", 1))
    await stub.ApplyPurchases(request(1, [first, second]))
    await stub.ApplyPurchases(request(2, [third, refund]))
    found = await stub.GetCustomer(wire.GetCustomerRequest(user_id="ada"))
    assert (found.order_count, found.recency_days.value, found.cadence_days.value) == (3, 5.0, 12.5)
    assert found.usual_days.value == 12.5
    assert [
        (each.currency, each.order_count, each.amount, each.refunded, each.mean_amount) for each in found.money
    ] == [
        ("EUR", 2, 23.0, 5.0, 11.5),
        ("USD", 1, 7.0, 0.0, 7.0),
    ]
    listed = await stub.ListPurchases(wire.ListPurchasesRequest(user_id="ada"))
    assert [(each.order_id, each.amount) for each in listed.orders] == [("e-3", 7.0), ("o-2", 8.0), ("o-1", 15.0)]
    assert [(each.product_id, each.quantity) for each in listed.orders[2].lines] == [("p", 1), ("q", 1)]
    (newest,) = (await stub.ListPurchases(wire.ListPurchasesRequest(user_id="ada", limit=1))).orders
    assert newest == listed.orders[0]


def declaring(sequence: int, *said: tuple[str, int, bytes]) -> wire.ApplyPurchasesRequest:
    made = request(sequence, [])
    for event_id, at_ms, traits in said:
        made.declared.add(user_id="ada", event_id=event_id, event_time_us=at_ms * 1000, traits=traits)
    return made


async def test_declared_traits_are_told_as_they_were_said_last(stub: "CustomersServiceAsyncStub") -> None:
    said = [
        ("i-2", 20, b'{"plan":"gold","age":41,"vip":true,"email":"ada@example.com","address":{"city":"Ulm"}}'),
        ("i-1", 10, b'{"plan":"free","town":"Ulm"}'),
        ("i-3", 30, b'{"town":null,"score":0.5}'),
        ("i-4", 40, b"no JSON"),
    ]
    await stub.ApplyPurchases(declaring(1, *said[:2]))
    await stub.ApplyPurchases(declaring(2, *said[2:]))
    with pytest.raises(NotFound):
        await stub.GetCustomer(wire.GetCustomerRequest(user_id="ada"))
    await stub.ApplyPurchases(request(3, [paid("e-1")]))
    traits = (await stub.GetCustomer(wire.GetCustomerRequest(user_id="ada"))).traits
    assert [(each.name, each.value, each.event_id) for each in traits] == [
        ("age", "41", "i-2"),
        ("plan", "gold", "i-2"),
        ("score", "0.5", "i-3"),
        ("vip", "true", "i-2"),
    ]


async def test_who_bought_nothing_is_not_found(stub: "CustomersServiceAsyncStub") -> None:
    await stub.ApplyPurchases(request(1, [paid("e-1")]))
    calls: list[tuple[Any, Any]] = [
        (stub.GetCustomer, wire.GetCustomerRequest(user_id="bob")),
        (stub.ListPurchases, wire.ListPurchasesRequest(user_id="bob")),
    ]
    for call, asked in calls:
        with pytest.raises(NotFound) as refused:
            await call(asked)
        assert refused.value.reason == "USER_NOT_FOUND"


async def test_a_batch_that_cannot_be_applied_changes_nothing(stub: "CustomersServiceAsyncStub") -> None:
    bad = row(paid("e-2", amount=float("nan")))
    for broken, reason in (
        (bad, "VALUE_OUT_OF_RANGE"),
        (wire.PurchaseRow(user_id="ada"), "MISSING_FIELD"),
        (row(paid("e-2", at=-1)), "VALUE_OUT_OF_RANGE"),
        (row(paid("e-2", 1, "o", 1.0, "EUR", line(price=float("inf")))), "VALUE_OUT_OF_RANGE"),
    ):
        sent = request(1, [paid("e-1")])
        sent.purchases.append(broken)
        with pytest.raises(InvalidArgument) as refused:
            await stub.ApplyPurchases(sent)
        assert refused.value.reason == reason
    with pytest.raises(NotFound):
        await stub.GetCustomer(wire.GetCustomerRequest(user_id="ada"))


async def test_what_lies_before_is_refused(stub: "CustomersServiceAsyncStub") -> None:
    for sequence in (1, 2, 3):
        await stub.ApplyPurchases(request(sequence, [paid(f"e-{sequence}")]))
    with pytest.raises(FailedPrecondition):
        await stub.ApplyPurchases(request(1, [paid("e-1")]))


async def test_what_was_published_of_a_person_is_exported_and_erased_with_their_segment() -> None:
    kept = MemoryFits()
    purchases = Purchases(MemoryState(), kept)
    await kept.replace("", FIT, {"ada": "New", "bob": "New"}, {"ada": "Group 1"}, 0)
    published = Published("New", "Group 1", ("p-1",), NOW_MS, 5)
    await kept.publish("", "New", {"ada": published, "bob": published})
    await kept.replace("", FIT, {"ada": "New"}, {"ada": "Group 1"}, 0)
    ada, bob = (json.loads(each.json) for each in await purchases.export(["ada", "bob", "eve"]))
    assert ada == {
        "user_id": "ada",
        "segment": "New",
        "group": "Group 1",
        "published": {"segment": "New", "group": "Group 1", "products": ["p-1"], "compared_ms": NOW_MS, "told_ms": 5},
    }
    assert (bob["segment"], bob["published"]["segment"]) == ("", "New")
    assert (await purchases.kept(["ada", "bob", "eve"]))["customers.segments"] == 2
    await purchases.erase(["ada", "bob"])
    assert (await purchases.kept(["ada", "bob"]))["customers.segments"] == 0


async def test_a_person_is_exported_and_erased(stub: "CustomersServiceAsyncStub") -> None:
    await stub.ApplyPurchases(request(1, [paid("e-1", 5, "o-1", 20.0, "EUR", line())]))
    await stub.ApplyPurchases(request(2, [paid("e-2")], "bob"))
    (record,) = (await stub.ExportUser(wire.ExportUserRequest(user_ids=["ada"]))).records
    said = json.loads(record.json)
    assert (record.store, said["key"]) == ("customers.purchases", "ada")
    assert said["state"]["entries"]["o-1"]["bought"]["lines"][0]["name"] == "P-1"
    counted = await stub.EraseUser(wire.EraseUserRequest(user_ids=["ada"], counts_only=True))
    assert [(each.store, each.count) for each in counted.stores] == [
        ("customers.purchases", 1),
        ("customers.segments", 0),
    ]
    erased = await stub.EraseUser(wire.EraseUserRequest(user_ids=["ada"]))
    assert [each.count for each in erased.stores] == [0, 0]
    with pytest.raises(NotFound):
        await stub.GetCustomer(wire.GetCustomerRequest(user_id="ada"))
    assert (await stub.GetCustomer(wire.GetCustomerRequest(user_id="bob"))).order_count == 1
