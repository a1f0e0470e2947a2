"""What is foretold: a fit of a shop, where it is kept, and what the servicers say of it."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.customers.v1 import predictions_pb2, segments_pb2

from mesh.errors import NotFound, VersionMismatch
from mesh.state.applied import Batch
from mesh.state.memory import MemoryState
from mesh.store import redis
from offline.customers.refit import Before, Whole, refitted
from records.tenants import qualified
from services.customers.adapters.fits import RedisFits
from services.customers.adapters.memory import MemoryFits
from services.customers.domain import consumption, migration
from services.customers.domain.purchases import Order
from services.customers.domain.recommendations import Product, Reason, Shop, recommended
from services.customers.domain.segments import SEGMENTS
from services.customers.foretelling import Foretelling
from services.customers.ports import FitStore, Standing
from services.customers.predictions import PredictionsServicer
from services.customers.segments import CustomerSegmentsServicer
from services.customers.usecases import Purchases
from tests.customers.builders import line, paid
from tests.customers.fits import DAY_MS, NOBODY, NOW_MS, TODAY, learnt, shop

NO_CONTEXT: Any = None
REFIT = learnt()
FIT = REFIT.fit


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, valkey: redis.Client) -> FitStore:
    return MemoryFits() if request.param == "memory" else RedisFits(valkey)


async def test_a_fit_is_kept_with_the_segments_of_a_tenant_alone(store: FitStore) -> None:
    assert (await store.fit("acme"), await store.standing("acme")) == (None, Standing({}, {}, 0))
    members = {qualified("acme", name): segment for name, segment in REFIT.members.items()}
    assert await store.replace("acme", FIT, members, 0)
    assert await store.fit("acme") == FIT
    assert (await store.standing("acme")).members == members
    assert await store.fit("other") is None
    later = FIT._replace(fitted_ms=FIT.fitted_ms + 1, customers=3)
    one = dict([next(iter(members.items()))])
    assert await store.replace("acme", later, one, 0)
    assert await store.fit("acme") == later
    assert (await store.standing("acme")).members == one


async def test_members_are_listed_in_parts_and_erased_ones_are_counted(store: FitStore) -> None:
    members = dict.fromkeys(["a", "b", "c", "d"], "New") | {"e": "Loyal"}
    await store.replace("", FIT, members, 0)
    assert list(await store.members("", "New", "", 2)) == ["a", "b"]
    assert list(await store.members("", "New", "b", 9)) == ["c", "d"]
    assert await store.segment("e") == "Loyal"
    await store.erase(["b", "e", "nobody"])
    await store.erase(["b"])
    assert await store.segment("b") == ""
    standing = await store.standing("")
    assert standing == Standing({"a": "New", "c": "New", "d": "New"}, {"New": 1, "Loyal": 1}, 4)
    # Somebody was erased while the fit was made: it must not bring them back.
    assert not await store.replace("", FIT, members, 0)
    assert await store.replace("", FIT, {"a": "New"}, 4)
    assert await store.standing("") == Standing({"a": "New"}, {}, 4)


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
    segments = CustomerSegmentsServicer(foretelling)
    listed = await segments.ListCustomerSegments(segments_pb2.ListCustomerSegmentsRequest(), NO_CONTEXT)
    assert [each.customer_count for each in listed.segments] == [0] * 8


async def test_a_customer_is_foretold_from_the_fit_and_what_they_bought() -> None:
    state, kept = MemoryState(), MemoryFits()
    purchases = Purchases(state, kept)
    for number, day in enumerate((-60, -40, -20)):
        bought = paid(f"e{number}", (TODAY + day) * DAY_MS, f"o{number}", 10.0, "EUR", line("p1"), line("p2"))
        await purchases.apply(Batch("events", "1", (number + 1,)), [("ada", bought)])
    await kept.replace("", FIT, REFIT.members, 0)
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
    asked = predictions_pb2.GetRecommendationsRequest(user_id="nobody", limit=4)
    cold = (await predictions.GetRecommendations(asked, NO_CONTEXT)).recommendations
    assert len(cold) == 4
    assert {each.reason for each in cold} == {predictions_pb2.RECOMMENDATION_REASON_POPULAR_IN_SEGMENT}


async def test_segments_members_and_migration_add_up() -> None:
    kept = MemoryFits()
    await kept.replace("", FIT, REFIT.members, 0)
    servicer = CustomerSegmentsServicer(Foretelling(MemoryState(), kept))
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
    assert [row.segment for row in moved.rows] == ["none yet"]
    assert sum(each.share for each in moved.rows[0].moved_to) == pytest.approx(1)


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
TOGETHER = {f"p{each}": {f"p{(each + step) % 20}": 0.5 for step in (1, 2, 7)} for each in range(20)}


@given(st.lists(st.lists(st.integers(0, 24), min_size=1, max_size=4), max_size=6), st.integers(0, 30))
def test_what_cannot_be_bought_is_never_recommended(baskets: list[list[int]], count: int) -> None:
    history = tuple(
        paid_order(place, [f"p{each}" for each in sorted(set(basket))]) for place, basket in enumerate(baskets)
    )
    offered = Shop(PRODUCTS, TOGETHER, {f"p{each}": 0.05 for each in range(20)}, "New")
    bought = consumption.bought(history)
    due = consumption.due(FIT.consumption, history, TODAY, 30)
    found = recommended(offered, bought, due, count)
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
    offered = Shop(PRODUCTS, TOGETHER, {f"p{each}": 0.05 for each in range(20)}, "New")
    due = consumption.due(FIT.consumption, history, TODAY, 30)
    found = recommended(offered, consumption.bought(history), due, 8)
    assert {each.reason for each in found} >= {Reason.DUE, Reason.TOGETHER, Reason.SIMILAR}
    assert len({each.category for each in found}) == 3


def test_a_refit_tells_who_moved_and_a_catalogue_what_can_be_bought() -> None:
    before = Before(dict.fromkeys(REFIT.members, "Champions"), {"New": 2})
    found = learnt(before, frozenset({"p1"})).fit
    assert sum(found.moved["Champions"].values()) == len(REFIT.members)
    assert found.moved["New"] == {"erased": 2}
    assert [name for name, each in found.products.items() if each.offered] == ["p1"]
