"""What masking costs per event, beside all that ingest judges of an event: `python -m bench.masking`.

The first batch is the load of the other benches. The others have properties as a shop sends them, different in every
event: without anything to mask, and with an e-mail address and a token in some of the events.
"""

import random
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import msgspec

from bench.harness.load import requests
from gateway.accepting.rows import Rows
from gateway.formats import native
from records.table import Table
from services.ingest.accept.domain.acceptance import judge
from services.ingest.accept.domain.masking.kinds import ALL, Masking
from services.ingest.accept.domain.masking.tables import mask_table, personal_ids
from services.ingest.accept.domain.masking.tenants import Maskings
from services.ingest.accept.domain.tidying import DEFAULT_RULES
from tests.builders import NOW_US

_EVENTS: Final = 500
_ROUNDS: Final = 15
_NOTHING: Final = Masking(frozenset())


def _table(bodies: list[bytes]) -> Table:
    """The events of some bodies, as the gateway sends them to ingest."""
    rows = Rows()
    sink = native.EventSink(rows.add, native.Stamp(NOW_US, b"t" * 16, b"s" * 8), iter(map(str, range(9_999))).__next__)
    for body in bodies:
        for raw in native.split(body):
            native.read_event(raw, sink)
    return rows.table()


def _shop(share: float) -> list[bytes]:
    """A body with a shop's events, of which a share holds something personal."""
    drawn = random.Random(7)
    return [msgspec.json.encode({"events": [*_shop_events(drawn, share)]})]


def _shop_events(drawn: random.Random, share: float) -> Iterator[dict[str, Any]]:
    for number in range(_EVENTS):
        properties: dict[str, Any] = {
            "page": f"https://shop.example/products/{drawn.randrange(300)}?color=red&size=42",
            "title": "Red shoes - Shop",
            "referrer": "https://www.google.com/",
            "price": drawn.randrange(99_999) / 100,
            "currency": "EUR",
            "productId": f"SKU-{drawn.randrange(99_999)}-XL",
            "seenAt": NOW_US // 1000 + drawn.randrange(10**9),
            "at": f"2026-01-02T10:00:{drawn.randrange(60):02}.{drawn.randrange(1000):03}Z",
            "cart": [{"id": f"{drawn.getrandbits(128):032x}", "quantity": 2}],
            "version": "4.12.3",
        }
        if number < share * _EVENTS:
            properties |= {"note": f"write to user{number}@example.org", "link": f"/reset?token={number}"}
        yield {"eventId": f"e-{number}", "userId": f"u-{number % 50}", "eventType": "click", "properties": properties}


def _per_event(work: Callable[[Table], object], table: Table) -> float:
    """Microseconds per event, the least of some rounds, each on a copy."""
    seconds = []
    for _ in range(_ROUNDS):
        copy = table.take(range(len(table)))
        began = time.perf_counter()
        work(copy)
        seconds.append(time.perf_counter() - began)
    return min(seconds) / len(table) * 1e6


def _mask(table: Table) -> None:
    mask_table(cast("Any", table), ALL)
    personal_ids(table.user_id, ALL)


def main() -> None:
    """Prints microseconds per event."""
    body = next(requests(0, _EVENTS, 250, 5))
    print("| events of a batch of 500 | masking, µs | judging without it, µs |\n|---|---|---|")
    for name, bodies in (
        ("of the other benches", [body]),
        ("of a shop, nothing to mask", _shop(0)),
        ("of a shop, 1 in 20 personal", _shop(0.05)),
        ("of a shop, all personal", _shop(1)),
    ):
        table = _table(bodies)
        judging = _per_event(lambda one: judge(cast("Any", one), NOW_US, DEFAULT_RULES, Maskings(_NOTHING)), table)
        print(f"| {name} | {_per_event(_mask, table):.2f} | {judging:.2f} |")


if __name__ == "__main__":
    main()
