"""From archived orders to what the customers service foretells of a customer, by the command."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from journeymesh.common.v1 import event_pb2
from journeymesh.customers.v1 import predictions_pb2, segments_pb2

from mesh.errors import FailedPrecondition
from mesh.state.applied import Batch
from mesh.state.memory import MemoryState
from mesh.store import redis
from offline.customers import keeping
from offline.customers.fitting import FitError
from offline.customers.purchases import EPOCH_DAY
from offline.customers.refit import Whole
from offline.customers.summaries import Summed
from records.tenants import qualified
from services.customers.adapters.fits import RedisFits
from services.customers.adapters.memory import MemoryFits
from services.customers.domain import consumption
from services.customers.domain.history import Bought
from services.customers.domain.purchases import Order
from services.customers.foretelling import Foretelling
from services.customers.predictions import PredictionsServicer
from services.customers.segments import CustomerSegmentsServicer
from services.customers.usecases import Purchases
from tests.builders import event
from tests.customers.fits import NOW_MS, TODAY, shop
from tests.customers.test_foretelling import NO_CONTEXT
from tests.offline.test_customers_archived import archive_of, command


def purchase(user: str, of: Order) -> event_pb2.Event:
    """The event of an order."""
    lines = [
        event_pb2.OrderLine(product_id=each.product, name=each.name, category=each.category, quantity=1, price=5.0)
        for each in of.lines
    ]
    paid = event_pb2.Purchase(amount=of.amount, currency=of.currency, order_id=of.order, lines=lines)
    at = of.at * 1000
    event_id = f"{user}-{of.order}"
    return event(event_id, qualified("acme", user), "purchase", purchase=paid, event_time_us=at, received_time_us=at)


async def test_the_command_learns_from_the_archive_and_the_service_foretells(
    tmp_path: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    histories = shop(40)
    records = [[purchase(user, order) for user, history in histories.items() for order in history]]
    await asyncio.to_thread(archive_of, tmp_path / "archive", records)
    monkeypatch.setenv("JOURNEYMESH_REDIS_URL", valkey_url)
    client = redis.connect(valkey_url)
    await client.flushall()
    arguments = ("--archive", (tmp_path / "archive").as_uri(), "--tenant", "acme", "--fit")
    assert await asyncio.to_thread(command, *arguments) == 0

    state, fits = MemoryState(), RedisFits(client)
    user, history = next((user, history) for user, history in histories.items() if len(history) > 5)
    for number, order in enumerate(history):
        bought = Bought(f"{user}-{order.order}", order.at, order.order, order.amount, "EUR", False, order.lines)
        await Purchases(state, fits).apply(Batch("events", "1", (number + 1,)), [(qualified("acme", user), bought)])
    foretelling = Foretelling(state, fits)
    predictions = PredictionsServicer(foretelling, lambda: NOW_MS * 1000)
    asked = predictions_pb2.GetPredictionsRequest(user_id=qualified("acme", user))
    told = await predictions.GetPredictions(asked, NO_CONTEXT)
    assert (told.fit.state, told.fit.customer_count) == (predictions_pb2.LEARNING_STATE_READY, 40)
    assert told.horizons[2].orders > 0
    assert {each.product_id for each in told.due} == {line.product for order in history for line in order.lines}
    scores = tmp_path / "scores.parquet"
    scoring = ("--archive", (tmp_path / "archive").as_uri(), "--tenant", "acme", "--score", "--output", str(scores))
    assert (
        await asyncio.to_thread(command, *scoring, "--until", dt.date.fromordinal(EPOCH_DAY + TODAY).isoformat()) == 0
    )
    rows = {row["customer"]: row for row in pq.read_table(scores).to_pylist()}
    assert [*rows] == sorted(histories)
    assert (rows[user]["segment"], rows[user]["group"]) == (told.segment, told.group)
    assert rows[user]["active"] == told.active.value
    for each in told.horizons:
        span = each.orders_span
        figures = (each.orders, span.lower, span.upper)
        assert figures == tuple(
            rows[user][f"{name}_{each.days}"] for name in ("orders", "orders_lower", "orders_upper")
        )

    segments = CustomerSegmentsServicer(foretelling, lambda: NOW_MS * 1000)
    members = segments_pb2.ListSegmentMembersRequest(tenant="acme", segment=told.segment)
    assert user in (await segments.ListSegmentMembers(members, NO_CONTEXT)).user_ids

    # Read again without a restart: everybody is where they were.
    assert await asyncio.to_thread(command, *arguments, "--until", "2024-10-03", "--workers", "2") == 0
    moved = await segments.GetMigration(segments_pb2.GetMigrationRequest(tenant="acme"), NO_CONTEXT)
    assert "none yet" not in {row.segment for row in moved.rows}
    await client.aclose()


async def test_who_is_erased_while_it_learns_does_not_come_back() -> None:
    fits = MemoryFits()

    class Erasing(Whole):
        def summed(self, limit: int) -> Sequence[Summed]:
            fits.forget("user-001")
            return super().summed(limit)

    with pytest.raises(FailedPrecondition, match="erased meanwhile"):
        await keeping.learn(fits, Erasing(shop(40)), "", TODAY, None, NOW_MS)
    assert await fits.fit("") is None


async def test_it_learns_of_no_day_that_lies_ahead() -> None:
    fits = MemoryFits()
    histories = shop(40)
    with pytest.raises(FitError, match="lies ahead"):
        await keeping.learn(fits, Whole(histories), "", consumption.day_of(NOW_MS) + 1, None, NOW_MS)
    ahead = Order("order", NOW_MS + 90 * 86_400_000, 5.0, "EUR", False, ())
    found = await keeping.learn(fits, Whole(histories | {"early": (ahead,)}), "", None, None, NOW_MS)
    assert found.today == consumption.day_of(NOW_MS)


def test_it_learns_of_every_currency(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--archive", tmp_path.as_uri(), "--fit", "--currency", "EUR") == 1
    assert "leave out --currency" in capsys.readouterr().err


def test_it_needs_the_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "orders.csv"
    table.write_text("user,date,amount\na,2026-01-01,1\n")
    assert command(str(table), "--fit") == 1
    assert "--archive" in capsys.readouterr().err
