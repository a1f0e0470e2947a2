"""What the archive says each customer bought is what the mesh keeps of them, bit for bit."""

import random
from pathlib import Path

from journeymesh.common.v1 import event_pb2

from mesh.state import applied
from offline.archive import contents
from offline.customers.archived import histories
from records import tenants
from services.customers.domain.history import history
from services.customers.states import PURCHASED
from services.ingest.archive.adapters.files import ParquetArchive
from tests.builders import NOW_US, event
from tests.offline.mesh import running

MINUTE_US = 60_000_000


def sent(chance: random.Random, number: int) -> event_pb2.Event:
    """An order of someone, or something given back."""
    is_refund = chance.random() < 0.3
    amount = chance.choice([0.0, 9.9, 0.1, 120.0])
    lines = [
        event_pb2.OrderLine(product_id=chance.choice("pqr"), name="Beans", quantity=chance.randint(1, 3), price=3.3)
        for _ in range(chance.randint(0, 3))
    ]
    purchase = event_pb2.Purchase(
        amount=-amount if is_refund else amount,
        currency=chance.choice(["EUR", "USD", ""]),
        is_refund=is_refund,
        order_id=chance.choice(["", "o-1", "o-2", "o-3"]),
        lines=lines,
    )
    tenant = chance.choice(["", "acme"])
    return event(
        tenants.qualified(tenant, f"e-{number}"),
        tenants.qualified(tenant, chance.choice(["ada", "bob", "cyd"])),
        "purchase",
        purchase=purchase,
        event_time_us=NOW_US - chance.randint(0, 50) * MINUTE_US,
        received_time_us=NOW_US,
        is_bot=chance.random() < 0.1,
    )


async def test_the_archive_gives_what_the_mesh_keeps(tmp_path: Path) -> None:
    chance = random.Random(16)  # noqa: S311 - no secret
    events = [sent(chance, number) for number in range(120)]
    async with running(tmp_path) as mesh:
        for start in range(0, len(events), 40):
            await mesh.send(*events[start : start + 40])
            await mesh.dispatch()
        await mesh.send(*chance.sample(events, 20))  # once more
        await mesh.archive()
        kept = {key: applied.current(blob) for key, blob in mesh.customers._values.items()}
    archive = ParquetArchive(tmp_path.as_uri())
    derived = {
        PURCHASED.key(user_id): PURCHASED.encode(of)
        for tenant in ("", "acme")
        for user_id, of in histories(archive, contents(archive).files, tenant=tenant)
    }
    assert derived == kept
    assert len(kept) == 6
    ada = history(dict(histories(archive, contents(archive).files))["ada"])
    assert any(each.lines for each in ada)
    assert any(each.refund for each in ada)
