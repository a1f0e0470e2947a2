"""What customers will buy, told from the archive of events as from a table of the same purchases."""

import argparse
import asyncio
import csv
import datetime as dt
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2

from cli import customers
from offline.archive import contents
from offline.customers import archived
from offline.customers import purchases as tables
from offline.customers.purchases import Columns, PurchaseError, Purchases
from records import table, tenants
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import Plan, hour_of
from services.ingest.archive.ports import EventRows
from tests.builders import event

DAY: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DAY_US: Final = 86_400_000_000


class Bought(NamedTuple):
    """A purchase, or what was given back, some days after the first."""

    customer: str
    day: int
    amount: float
    is_refund: bool = False
    currency: str = "EUR"
    tenant: str = ""


BOUGHT: Final = st.builds(
    Bought,
    st.sampled_from(["ada", "bob", "cyd"]),
    st.integers(0, 3),
    st.integers(0, 400).map(lambda quarters: quarters / 4) | st.floats(0, 99),
    st.booleans(),
    st.sampled_from(["EUR", "USD", ""]),
    st.sampled_from(["", "acme"]),
)


def purchase(event_id: str, of: Bought, **members: Any) -> event_pb2.Event:
    """An event that says what was bought."""
    paid = event_pb2.Purchase(
        amount=-of.amount if of.is_refund else of.amount, currency=of.currency, is_refund=of.is_refund
    )
    at = int(DAY.timestamp() * 1_000_000) + of.day * DAY_US + DAY_US - 1
    user = tenants.qualified(of.tenant, of.customer)
    return event(event_id, user, "purchase", purchase=paid, event_time_us=at, received_time_us=at, **members)


def archive_of(
    folder: Path, records: Sequence[Sequence[event_pb2.Event]], failed: Iterable[int] = ()
) -> ParquetArchive:
    """An archive with a file per record; the events of the `failed` records are set aside."""
    archive, aside = ParquetArchive(folder.as_uri()), frozenset(failed)

    async def write() -> None:
        for number, events in enumerate(records, 1):
            rows = [*range(len(events))]
            its = EventRows(number, table.of_events(events), rows, failed=frozenset(rows if number in aside else ()))
            hours = {hour_of(each.received_time_us) for each in events}
            part = await archive.pack("3", [its], [])
            await archive.write("3", Plan(number - 1, number), hours, [part])

    asyncio.run(write())
    return archive


def read(archive: ParquetArchive, tenant: str = "", currency: str = "EUR") -> Purchases:
    return archived.read(archive, contents(archive), iter, tenant=tenant, currency=currency)


def command(*arguments: str) -> int:
    """The exit code of `journeymesh customers`, run in this process."""
    parser = argparse.ArgumentParser()
    customers.add_arguments(parser)
    return customers.main(parser.parse_args(arguments))


def told(read_them: Callable[[], Purchases]) -> Any:
    """What is read, or that there is nothing."""
    try:
        found = read_them()
    except PurchaseError:
        return None
    return [*found.customers], found.of.tolist(), found.days.tolist(), found.amounts.tolist(), found.returned_days


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(BOUGHT, min_size=1, max_size=20), st.integers(1, 7), st.sampled_from(["", "acme"]))
def test_the_archive_gives_what_a_table_of_the_same_purchases_gives(
    bought: list[Bought], record_size: int, tenant: str
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "purchases.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["customer", "date", "amount"])
            for each in bought:
                if (each.tenant, each.currency) == (tenant, "EUR") and not (each.is_refund and not each.amount):
                    date = (DAY + dt.timedelta(days=each.day)).date()
                    writer.writerow([each.customer, date, repr(-each.amount if each.is_refund else each.amount)])
        events = [purchase(f"e-{number}", each) for number, each in enumerate(bought)]
        records = [events[start : start + record_size] for start in range(0, len(events), record_size)]
        archive = archive_of(folder / "archive", records)
        assert told(lambda: read(archive, tenant)) == told(lambda: tables.read(path, Columns(), iter))


def test_each_purchase_counts_once_and_what_did_not_happen_does_not(tmp_path: Path) -> None:
    ten = Bought("ada", 0, 10.0)
    original = purchase("e-1", ten._replace(customer="anonymous"))
    copy = purchase("e-2", ten, copied_event_id="e-1")
    by_bot = purchase("e-3", ten, is_bot=True)
    by_system = purchase("e-4", ten._replace(day=1, amount=3.0), is_system=True)
    view = event("e-5", "ada")
    failed = purchase("e-6", ten._replace(amount=7.0))
    never_mended = purchase("e-8", ten._replace(amount=9.0))
    mended = purchase("e-6", ten._replace(day=2, amount=8.0))
    unknown = purchase("e-7", ten._replace(day=3, amount=0.0, is_refund=True))
    archive = archive_of(
        tmp_path, [[original, by_bot, view], [failed, never_mended], [copy, by_system, mended], [unknown]], {2}
    )
    found = read(archive)
    assert (found.customers, found.amounts.tolist(), found.skipped_rows) == (["ada"], [10.0, 3.0, 8.0], 1)
    assert (found.days - DAY.toordinal()).tolist() == [0, 1, 2]


def test_currencies_are_never_summed(tmp_path: Path) -> None:
    one = Bought("ada", 0, 10.0)
    every = [one, one._replace(currency="USD", amount=2.0), one._replace(currency="", amount=1.0)]
    archive = archive_of(tmp_path, [[purchase(f"e-{number}", each) for number, each in enumerate(every)]])
    with pytest.raises(PurchaseError, match=r"1 in EUR, 1 in USD, 1 in none.*--currency"):
        read(archive, currency="")
    with pytest.raises(PurchaseError, match="no purchase in GBP"):
        read(archive, currency="GBP")
    sums = {each: read(archive, currency=each).amounts.tolist() for each in ("EUR", "USD", archived.NO_CURRENCY)}
    assert sums == {"EUR": [10.0], "USD": [2.0], "none": [1.0]}


def test_one_currency_need_not_be_said(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, [[purchase("e-1", Bought("ada", 0, 10.0, currency="SEK"))]])
    assert read(archive, currency="").amounts.tolist() == [10.0]


def test_an_archive_without_purchases_is_refused_with_a_sentence(tmp_path: Path) -> None:
    archive = archive_of(tmp_path, [[event("e-1", "ada")]])
    with pytest.raises(PurchaseError, match="purchase"):
        read(archive)
    empty = ParquetArchive((tmp_path / "none").as_uri())
    with pytest.raises(PurchaseError, match="Nothing is archived yet"):
        read(empty)


def test_the_command_forecasts_from_the_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bought = [
        Bought(f"c-{customer}", customer % 7 + number * (customer % 5 + 3), 5.0 + number)
        for customer in range(60)
        for number in range(customer % 4 + 1)
    ]
    archive_of(tmp_path / "archive", [[purchase(f"e-{number}", each) for number, each in enumerate(bought)]])
    assert command("--archive", (tmp_path / "archive").as_uri()) == 0
    printed = capsys.readouterr().out
    assert "60 customers, 150 orders" in printed
    assert "Segments" in printed


@pytest.mark.parametrize("url", ["file:///nowhere", "ftp://nowhere"])
def test_an_archive_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str], url: str) -> None:
    assert command("--archive", url) == 1
    said = capsys.readouterr()
    assert (said.out, "gives no forecast" in said.err) == ("", True)


def test_either_a_table_or_the_archive_is_read() -> None:
    for arguments in ((), ("orders.csv", "--archive", "file:///folder")):
        with pytest.raises(SystemExit):
            command(*arguments)


def test_what_is_asked_for_is_one_thing() -> None:
    for arguments in (("--fit", "--score"), ("--fit", "--products"), ("--score", "--products")):
        with pytest.raises(SystemExit):
            command("--archive", "file:///folder", "--output", "out.csv", *arguments)
