"""What it costs to remember an event id: stated in PRODUCT's terms, measured on a real server."""

import uuid

from mesh import redis
from services.ingest.adapters.redis import RedisSeenEvents
from services.ingest.domain.event import Place, Seen
from services.ingest.ports import Claim
from tests.builders import NOW_US

STATED_BYTES = 150
EVENTS = 50_000


async def test_an_event_id_costs_no_more_than_is_stated(valkey: redis.Client) -> None:
    seen = RedisSeenEvents(valkey)
    before = (await valkey.info("memory"))["used_memory_dataset"]
    for start in range(0, EVENTS, 1000):
        place = Place("3", (1_767_348_000_000 + start) << 32, start % 1000)
        await seen.claim(
            [Claim(str(uuid.UUID(int=start + number)), Seen(place, NOW_US, bytes(16))) for number in range(1000)]
        )
    after = (await valkey.info("memory"))["used_memory_dataset"]
    assert STATED_BYTES / 2 < (after - before) / EVENTS < STATED_BYTES
