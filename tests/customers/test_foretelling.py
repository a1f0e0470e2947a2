"""What is foretold: a fit of a shop, where it is kept, and what the servicers say of it."""

import datetime as dt
import itertools
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.customers.v1 import customers_pb2, predictions_pb2, segments_pb2

from mesh.errors import InvalidArgument, NotFound, ResourceExhausted, VersionMismatch
from mesh.state.applied import Batch
from mesh.state.memory import MemoryState
from mesh.store import redis
from offline.customers.refit import Before, Whole, refitted
from records.tenants import qualified
from services.customers.adapters.fits import RedisFits
from services.customers.adapters.memory import MemoryFits
from services.customers.domain import consumption, migration, performance
from services.customers.domain.basket import Market, scores
from services.customers.domain.purchases import Order
from services.customers.domain.recommendations import Product, Reason, Shop, recommended
from services.customers.domain.segments import NAMES, SEGMENTS, Cuts
from services.customers.foretelling import Foretelling
from services.customers.ports import EXPORT_SECONDS, Exported, FitStore, Standing
from services.customers.predictions import PredictionsServicer
from services.customers.segments import CustomerSegmentsServicer
from services.customers.servicer import CustomersServicer
from services.customers.usecases import Purchases
from tests.customers.builders import line, paid
from tests.customers.fits import DAY_MS, NOBODY, NOW_MS, TODAY, learnt, shop

NO_CONTEXT: Any = None
REFIT = learnt()
FIT = REFIT.fit
STAGED = ("jm:{customers}:members:acme:New:new", "jm:{customers}:groups:acme:new")


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, valkey: redis.Client) -> FitStore:
    return MemoryFits() if request.param == "memory" else RedisFits(valkey)


async def test_a_fit_is_kept_with_the_segments_of_a_tenant_alone(store: FitStore) -> None:
    assert (await store.fit("acme"), await store.standing("acme")) == (None, Standing({}, {}, 0))
    members = {qualified("acme", name): segment for name, segment in REFIT.members.items()}
    inside = {qualified("acme", name): group for name, group in REFIT.grouped.items()}
    assert await store.replace("acme", FIT, members, inside, 0)
    assert await store.fit("acme") == FIT
    assert await store.standing("acme") == Standing(members, {}, 0, inside, {})
    assert await store.fit("other") is None
    later = FIT._replace(fitted_ms=FIT.fitted_ms + 1, customers=3)
    one = dict([next(iter(members.items()))])
    assert await store.replace("acme", later, one, {}, 0)
    assert await store.fit("acme") == later
    assert await store.standing("acme") == Standing(one, {}, 0, {}, {})


async def test_members_are_listed_in_parts_and_erased_ones_are_counted(store: FitStore) -> None:
    members = dict.fromkeys(["a", "b", "c", "d"], "New") | {"e": "Loyal"}
    await store.replace("", FIT, members, {"b": "Group 1", "d": "Group 1"}, 0)
    assert list(await store.groups("", ["a", "b"])) == ["", "Group 1"]
    assert list(await store.groups("", [])) == []
    assert list(await store.members("", "New", "", 2)) == ["a", "b"]
    assert list(await store.members("", "New", "b", 9)) == ["c", "d"]
    assert await store.segment("e") == "Loyal"
    await store.erase(["b", "e", "nobody"])
    await store.erase(["b"])
    assert await store.segment("b") == ""
    standing = await store.standing("")
    members = {"a": "New", "c": "New", "d": "New"}
    assert standing == Standing(members, {"New": 1, "Loyal": 1}, 4, {"d": "Group 1"}, {"Group 1": 1})
    # Somebody was erased while the fit was made: it must not bring them back.
    assert not await store.replace("", FIT, members, {}, 0)
    assert await store.replace("", FIT, {"a": "New"}, {}, 4)
    assert await store.standing("") == Standing({"a": "New"}, {}, 4)


async def read(store: FitStore, tenant: str, job_id: str) -> list[bytes]:
    return [piece async for piece in store.export(tenant, job_id)]


async def test_the_last_file_of_all_customers_is_kept_and_read_by_its_job(store: FitStore) -> None:
    assert await store.exported("acme", "j-1") is None
    with pytest.raises(NotFound):
        await read(store, "acme", "j-1")
    assert await store.keep_export("acme", Exported("j-1", 2, iter([b"a,b\n", b"c,d\n"])), 0)
    assert await store.exported("acme", "j-1") == 2
    assert await read(store, "acme", "j-1") == [b"a,b\n", b"c,d\n"]
    for tenant, job_id in (("acme", "j-2"), ("", "j-1")):
        assert await store.exported(tenant, job_id) is None
        with pytest.raises(NotFound):
            await read(store, tenant, job_id)

    reading = store.export("acme", "j-1")
    assert await anext(reading) == b"a,b\n"
    assert await store.keep_export("acme", Exported("j-2", 1, [b"e\n", b"f\n"]), 0)
    with pytest.raises(NotFound):  # and nobody gets the half of one and the half of another
        await anext(reading)
    assert await store.exported("acme", "j-1") is None
    assert await read(store, "acme", "j-2") == [b"e\n", b"f\n"]


async def test_a_file_of_all_customers_goes_with_whoever_is_erased(store: FitStore) -> None:
    for tenant in ("acme", ""):
        assert await store.keep_export(tenant, Exported("j-1", 1, [b"a\n"]), 0)
    await store.erase([qualified("acme", "nobody")])
    assert await store.erasures("acme") == 1
    assert await store.exported("acme", "j-1") is None
    assert await store.exported("", "j-1") == 1
    # Somebody was erased while it was written.
    assert not await store.keep_export("acme", Exported("j-2", 1, [b"a\n"]), 0)
    assert await store.exported("acme", "j-2") is None
    assert await store.keep_export("acme", Exported("j-2", 1, [b"b\n"]), 1)


async def test_erasure_finds_what_a_killed_process_was_writing(
    valkey: redis.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits, gone = RedisFits(valkey), qualified("acme", "ada")
    keys = [*STAGED, "jm:{customers}:export:acme:new"]
    killed = RuntimeError("as by kill -9")

    def pieces() -> Iterator[bytes]:
        yield gone.encode()
        raise killed

    with pytest.raises(RuntimeError):
        await fits.keep_export("acme", Exported("j-1", 1, pieces()), 0)
    monkeypatch.setattr("services.customers.adapters.fits.encode", lambda _fit: next(itertools.islice(pieces(), 1, 2)))
    with pytest.raises(RuntimeError):
        await fits.replace("acme", FIT, {gone: "New"}, {gone: "Group 1"}, 0)
    assert await valkey.exists(*keys) == 3
    assert all([0 < await valkey.ttl(key) <= EXPORT_SECONDS for key in keys])
    await fits.erase([gone])
    assert await valkey.exists(*keys) == 0


async def test_an_attempt_of_before_an_erasure_writes_nothing_more(valkey: redis.Client) -> None:
    fits, gone = RedisFits(valkey), qualified("acme", "ada")
    await fits.erase([gone])
    assert not await fits.keep_export("acme", Exported("j-1", 1, [b"bob", gone.encode()]), 0)
    assert not await valkey.exists("jm:{customers}:export:acme:new")
    assert await fits.keep_export("acme", Exported("j-1", 1, [b"bob"]), 1)
    assert await read(fits, "acme", "j-1") == [b"bob"]


async def test_a_fit_that_somebody_s_erasure_stopped_leaves_nothing(valkey: redis.Client) -> None:
    fits, gone = RedisFits(valkey), qualified("acme", "ada")
    await fits.erase([gone])
    assert not await fits.replace("acme", FIT, {gone: "New"}, {gone: "Group 1"}, 0)
    assert not await valkey.exists(*STAGED)
    assert await fits.replace("acme", FIT, {"bob": "New"}, {"bob": "Group 1"}, 1)
    assert await valkey.ttl("jm:{customers}:members:acme:New") == -1
    assert await valkey.ttl("jm:{customers}:groups:acme") == -1


async def test_a_file_that_is_too_large_is_refused_and_leaves_nothing(
    store: FitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for adapter in ("fits", "memory"):
        monkeypatch.setattr(f"services.customers.adapters.{adapter}.MOST_EXPORTED_BYTES", 100)
    pieces = [secrets.token_bytes(60) for _ in range(2)]
    with pytest.raises(ResourceExhausted):
        await store.keep_export("acme", Exported("j-1", 1, pieces), 0)
    assert await store.exported("acme", "j-1") is None
    assert await store.keep_export("acme", Exported("j-2", 1, pieces[:1]), 0)


async def test_a_file_of_all_customers_ends_after_a_day(valkey: redis.Client) -> None:
    assert await RedisFits(valkey).keep_export("acme", Exported("j-1", 1, [b"a\n"]), 0)
    assert not await valkey.exists("jm:{customers}:export:acme:new")
    assert EXPORT_SECONDS - 60 < await valkey.ttl("jm:{customers}:export:acme") <= EXPORT_SECONDS
    await valkey.hset("jm:{customers}:export:acme", "about", b"\x92\x02\xc0")
    with pytest.raises(VersionMismatch):
        await RedisFits(valkey).exported("acme", "j-1")


async def test_what_a_newer_version_learnt_is_not_misread(valkey: redis.Client) -> None:
    await valkey.hset("jm:{customers}:fit:", mapping={"revision": 1, "fit": b"\x92\x02\xc0"})
    with pytest.raises(VersionMismatch):
        await RedisFits(valkey).fit("")


async def test_until_something_was_learnt_nothing_is_foretold() -> None:
    state, kept = MemoryState(), MemoryFits()
    bought = paid("e", NOW_MS, "o", 5.0, "EUR", line())
    await Purchases(state, kept).apply(Batch("events", "1", (1,)), [("ada", bought)])
    foretelling = Foretelling(state, kept)
    predictions = PredictionsServicer(foretelling, lambda: NOW_MS * 1000)
    told = await predictions.GetPredictions(predictions_pb2.GetPredictionsRequest(user_id="ada"), NO_CONTEXT)
    assert told == predictions_pb2.GetPredictionsResponse(
        user_id="ada", fit=predictions_pb2.CustomersFit(state=predictions_pb2.LEARNING_STATE_LEARNING)
    )
    with pytest.raises(NotFound):
        await predictions.GetPredictions(predictions_pb2.GetPredictionsRequest(user_id="bob"), NO_CONTEXT)
    segments = CustomerSegmentsServicer(foretelling, lambda: NOW_MS * 1000)
    listed = await segments.ListCustomerSegments(segments_pb2.ListCustomerSegmentsRequest(), NO_CONTEXT)
    assert [each.customer_count for each in listed.segments] == [0] * 8


async def test_a_customer_is_foretold_from_the_fit_and_what_they_bought() -> None:
    state, kept = MemoryState(), MemoryFits()
    purchases = Purchases(state, kept)
    for number, day in enumerate((-60, -40, -20)):
        bought = paid(f"e{number}", (TODAY + day) * DAY_MS, f"o{number}", 10.0, "EUR", line("p1"), line("p2"))
        await purchases.apply(Batch("events", "1", (number + 1,)), [("ada", bought)])
    await kept.replace("", FIT, REFIT.members, {}, 0)
    predictions = PredictionsServicer(Foretelling(state, kept), lambda: NOW_MS * 1000)
    told = await predictions.GetPredictions(predictions_pb2.GetPredictionsRequest(user_id="ada"), NO_CONTEXT)
    assert told.fit.customer_count == FIT.customers
    assert [each.days for each in told.horizons] == [30, 90, 365]
    assert told.segment in SEGMENTS
    assert FIT.groups
    assert told.group in FIT.groups.names
    assert 0 < told.active.value < 1
    assert told.currency == "EUR"
    for each in told.horizons:
        assert each.orders_span.lower <= each.orders_span.upper
        assert each.money_span.lower <= each.money.value <= each.money_span.upper or each.days == 30
    assert {each.product_id for each in told.due} == {"p1", "p2"}
    again = await predictions.GetPredictions(predictions_pb2.GetPredictionsRequest(user_id="ada"), NO_CONTEXT)
    assert again == told
    assert FIT.next_basket
    assert abs(FIT.market.habit - 0.5) > 0.01  # learnt
    tested = told.next_basket
    assert 0 < tested.customer_count <= FIT.customers
    assert dt.date.fromisoformat(tested.until_date).toordinal() - dt.date(1970, 1, 1).toordinal() == FIT.next_basket.cut
    assert (tested.recall, tested.personal_recall) == (FIT.next_basket.recall, FIT.next_basket.personal)
    assert tested.gain_span.lower <= tested.recall - tested.personal_recall <= tested.gain_span.upper
    asked = predictions_pb2.GetRecommendationsRequest(user_id="nobody", limit=4)
    cold = (await predictions.GetRecommendations(asked, NO_CONTEXT)).recommendations
    assert len(cold) == 4
    assert {each.reason for each in cold} == {predictions_pb2.RECOMMENDATION_REASON_POPULAR_IN_SEGMENT}


async def test_segments_members_and_migration_add_up() -> None:
    kept = MemoryFits()
    await kept.replace("", FIT, REFIT.members, {}, 0)
    servicer = CustomerSegmentsServicer(Foretelling(MemoryState(), kept), lambda: NOW_MS * 1000)
    listed = await servicer.ListCustomerSegments(segments_pb2.ListCustomerSegmentsRequest(), NO_CONTEXT)
    assert sum(each.share for each in listed.segments) == pytest.approx(1)
    assert sum(len(each.cells) for each in listed.segments) == 25
    assert listed.group_currency == "EUR"
    assert sum(each.customer_count for each in listed.groups) == FIT.customers
    found: list[str] = []
    for each in listed.segments:
        after = ""
        while True:
            asked = segments_pb2.ListSegmentMembersRequest(segment=each.name, limit=7, after=after)
            part = await servicer.ListSegmentMembers(asked, NO_CONTEXT)
            found += part.user_ids
            if not (after := part.next_after):
                break
    assert sorted(found) == sorted(REFIT.members)
    with pytest.raises(NotFound):
        await servicer.ListSegmentMembers(segments_pb2.ListSegmentMembersRequest(segment="Rich"), NO_CONTEXT)
    moved = await servicer.GetMigration(segments_pb2.GetMigrationRequest(), NO_CONTEXT)
    for rows in (moved.rows, moved.group_rows):
        assert [row.segment for row in rows] == ["none yet"]
        assert sum(each.share for each in rows[0].moved_to) == pytest.approx(1)
    assert FIT.groups
    assert [each.group for each in moved.group_transitions] == sorted(FIT.groups.names)
    assert {each.change for each in moved.group_transitions} == {segments_pb2.GROUP_CHANGE_NEW}


async def test_many_are_assigned_by_what_they_bought_until_now() -> None:
    state, kept = MemoryState(), MemoryFits()
    servicer = CustomerSegmentsServicer(Foretelling(state, kept), lambda: NOW_MS * 1000)
    purchases = Purchases(state, kept)
    for number, day in enumerate((-60, -40, -3)):
        bought = paid(f"e{number}", (TODAY + day) * DAY_MS, f"o{number}", 10.0, "EUR", line("p1"))
        await purchases.apply(Batch("events", "1", (number + 1,)), [(qualified("acme", "ada"), bought)])
    asked = segments_pb2.AssignSegmentsRequest(tenant="acme", user_ids=["bob", "ada", "bob"])
    learning = await servicer.AssignSegments(asked, NO_CONTEXT)
    assert [each.user_id for each in learning.assignments] == ["bob", "ada", "bob"]
    assert not any(each.segment for each in learning.assignments)

    await kept.replace("acme", FIT, {}, {}, 0)
    told = await servicer.AssignSegments(asked, NO_CONTEXT)
    bob, ada, _ = told.assignments
    assert (bob.segment, bob.HasField("scores"), bob.HasField("days_since")) == ("", False, False)
    assert (ada.days_since.value, ada.order_days) == (3, 3)
    assert ada.segment == NAMES[ada.scores.recency, ada.scores.frequency]
    customer = await CustomersServicer(purchases, lambda: NOW_MS * 1000).GetCustomer(
        customers_pb2.GetCustomerRequest(user_id=qualified("acme", "ada")), NO_CONTEXT
    )
    assert (customer.segment, customer.group) == (ada.segment, ada.group)
    asked = segments_pb2.AssignSegmentsRequest(user_ids=["ada"])
    assert (await servicer.AssignSegments(asked, NO_CONTEXT)).assignments[0].segment == ""
    for count in (0, 1_001):
        with pytest.raises(InvalidArgument):
            await servicer.AssignSegments(segments_pb2.AssignSegmentsRequest(user_ids=["u"] * count), NO_CONTEXT)


async def test_what_a_segment_brings_is_told_of_a_window() -> None:
    kept = MemoryFits()
    servicer = CustomerSegmentsServicer(Foretelling(MemoryState(), kept), lambda: NOW_MS * 1000)
    asked = segments_pb2.GetSegmentPerformanceRequest(days=365)
    assert not (await servicer.GetSegmentPerformance(asked, NO_CONTEXT)).segments
    await kept.replace("", FIT, REFIT.members, {}, 0)
    told = await servicer.GetSegmentPerformance(asked, NO_CONTEXT)
    assert [each.segment for each in told.segments] == list(SEGMENTS)
    orders = [order for history in shop().values() for order in history if order.at >= NOW_MS - 364 * DAY_MS]
    assert sum(each.order_count for each in told.segments) == len(orders)
    money = [each.money[0] for each in told.segments if each.money]
    assert sum(each.amount for each in money) == pytest.approx(sum(order.amount for order in orders))
    assert sum(each.share for each in money) == pytest.approx(1)
    asked = segments_pb2.GetSegmentPerformanceRequest(segment="Loyal")
    one = await servicer.GetSegmentPerformance(asked, NO_CONTEXT)
    assert ([each.segment for each in one.segments], one.days) == (["Loyal"], 90)
    with pytest.raises(InvalidArgument):
        await servicer.GetSegmentPerformance(segments_pb2.GetSegmentPerformanceRequest(days=31), NO_CONTEXT)


def test_a_segment_brings_what_its_customers_kept_and_those_of_before_come_again() -> None:
    def order(name: str, ago: int, amount: float, currency: str = "EUR") -> Order:
        return Order(name, (TODAY - ago) * DAY_MS, amount, currency, amount < 0, ())

    cuts = Cuts((-90, -60, -30, -7), (2, 3, 4, 5))
    found = performance.Performances(cuts, TODAY)
    found.add("Loyal", (order("a", 100, 5.0), order("b", 29, 0.1), order("c", 0, 0.2), order("d", 0, -0.1)))
    found.add("New", (order("a", 30, 1.0), order("b", 3, 0.6, "USD")))
    found.add("New", (order("a", 40, 1.0),))
    month, quarter, year = found.windows()
    assert [each.days for each in (month, quarter, year)] == [30, 90, 365]
    assert month.segments["Loyal"] == performance.Performance(2, {"EUR": 0.2}, 0, 0)
    # Seventy days since one order, none and ten: the first and the last came again.
    assert (month.segments["About to Sleep"][2:], month.segments["New"][2:]) == ((0, 0), (2, 1))
    assert month.segments["Hibernating"] == performance.Performance(0, {}, 1, 1)
    assert month.segments["New"].money == {"USD": 0.6}
    assert quarter.segments["New"] == performance.Performance(3, {"EUR": 2.0, "USD": 0.6}, 1, 1)
    assert year.segments["Loyal"].orders == 3
    shares = performance.shares(quarter.segments.values())
    assert shares[SEGMENTS.index("New")] == {"EUR": pytest.approx(2.0 / 2.2), "USD": 1.0}


MANY = ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("moved", "transitions"),
    [
        ({"a": {"a": 5, "b": 5}}, [("a", "kept", ("a",)), ("b", "new", ())]),
        ({"a": {"c": 3}, "b": {"c": 2, "d": 1}}, [("a", "merged", ("c",)), ("b", "merged", ("c",)), ("d", "new", ())]),
        ({"a": {"b": 4, "c": 4, "d": 2}}, [("a", "split", ("b", "c")), ("d", "new", ())]),
        (
            {"a": {"b": 3, "c": 2, "d": 2, "a": 2, "no group": 6}},
            [("a", "gone", ()), *((each, "new", ()) for each in MANY)],
        ),
        ({"a": {"erased": 9, "a": 1}, "b": {"erased": 1}}, [("a", "kept", ("a",)), ("b", "gone", ())]),
        ({"none yet": {"a": 3}, "no group": {"a": 1, "no group": 7}}, [("a", "new", ())]),
        ({}, []),
    ],
)
def test_what_became_of_groups_goes_by_whom_both_fits_have(
    moved: migration.Moved, transitions: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    assert list(migration.transitions(moved)) == transitions


groups = st.sampled_from([*MANY, migration.NO_GROUP])


@given(st.dictionaries(groups, st.dictionaries(groups | st.just(migration.ERASED), st.integers(1, 9), min_size=1)))
def test_something_became_of_every_group_and_every_group_came_from_somewhere(moved: migration.Moved) -> None:
    found = migration.transitions(moved)
    before, now = set(moved) - {migration.NO_GROUP}, {to for row in moved.values() for to in row}
    was = [each for each in found if each.change != migration.Change.NEW]
    assert [each.group for each in was] == sorted(before)
    became = {to for each in found for to in each.became}
    new = {each.group for each in found if each.change == migration.Change.NEW}
    assert became | new == now - {migration.NO_GROUP, migration.ERASED}
    assert not became & new


names = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(SEGMENTS))


@given(names, names, st.dictionaries(st.sampled_from(SEGMENTS), st.integers(1, 5)))
def test_every_row_of_a_migration_adds_up_to_one(
    before: Mapping[str, str], now: Mapping[str, str], erased: Mapping[str, int]
) -> None:
    moved = migration.moved(before, erased, now)
    for row in migration.shares(moved).values():
        assert sum(row.values()) == pytest.approx(1)
    counted = sum(count for row in moved.values() for count in row.values())
    assert counted == len({*before, *now}) + sum(erased.values())


def test_the_order_of_customers_changes_no_bit() -> None:
    backwards = dict(reversed(shop().items()))
    assert refitted(Whole(backwards), TODAY, NOBODY, None, NOW_MS) == REFIT


def paid_order(place: int, products: list[str]) -> Order:
    """An order of one each, ten days after the one before."""
    lines = tuple(line(product) for product in products)
    return Order(f"o{place}", (TODAY - 100 + 10 * place) * DAY_MS, 5.0, "EUR", False, lines)


PRODUCTS = {f"p{each}": Product("", f"c{each % 3}", offered=each % 5 != 0) for each in range(20)}
MARKET = Market(
    0.2,
    1.0,
    {f"p{each}": 0.05 for each in range(20)},
    {f"p{each}": {f"p{(each + step) % 20}": 0.3 for step in (1, 2, 7)} for each in range(20)},
)


@given(st.lists(st.lists(st.integers(0, 24), min_size=1, max_size=4), max_size=6), st.integers(0, 30))
def test_what_cannot_be_bought_is_never_recommended(baskets: list[list[int]], count: int) -> None:
    history = tuple(
        paid_order(place, [f"p{each}" for each in sorted(set(basket))]) for place, basket in enumerate(baskets)
    )
    offered = Shop(PRODUCTS, {f"p{each}": 0.05 for each in range(20)}, "New")
    bought = consumption.bought(history)
    due = consumption.due(FIT.consumption, history, TODAY, 30)
    found = recommended(offered, bought, scores(MARKET, FIT.consumption, bought, TODAY), due, count)
    assert len(found) <= count
    assert len({each.product for each in found}) == len(found)
    assert all(PRODUCTS[each.product].offered for each in found)
    known = {each.product for each in bought}
    for each in found:
        assert (each.reason == Reason.DUE) == (each.probability is not None)
        assert each.reason != Reason.DUE or each.product in known
        assert each.reason == Reason.DUE or each.product not in known


def test_recommendations_differ_in_reason_and_category() -> None:
    history = tuple(paid_order(place, ["p1", "p2", "p3"]) for place in range(4))
    offered = Shop(PRODUCTS, {f"p{each}": 0.05 for each in range(20)}, "New")
    due = consumption.due(FIT.consumption, history, TODAY, 30)
    bought = consumption.bought(history)
    found = recommended(offered, bought, scores(MARKET, FIT.consumption, bought, TODAY), due, 8)
    assert {each.reason for each in found} >= {Reason.DUE, Reason.TOGETHER, Reason.SIMILAR}
    assert len({each.category for each in found}) == 3


def test_a_refit_tells_who_moved_and_a_catalogue_what_can_be_bought() -> None:
    who = [*REFIT.members]
    before = Before(
        dict.fromkeys(who, "Champions"), {"New": 2}, None, dict.fromkeys(who[1:], "Group 1"), {"Group 1": 3}
    )
    found = learnt(before, frozenset({"p1"})).fit
    assert sum(found.moved_groups["Group 1"].values()) == len(who) - 1 + 3
    assert found.moved_groups["Group 1"]["erased"] == 3
    assert sum(found.moved_groups["no group"].values()) == 1
    assert sum(found.moved["Champions"].values()) == len(REFIT.members)
    assert found.moved["New"] == {"erased": 2}
    assert [name for name, each in found.products.items() if each.offered] == ["p1"]
