"""Takes events: `SET NX` claims an id and `XADD` adds an event to the stream, each in one pipeline per request.

`AFTERNOON_REDIS` names the server. Run by `python -m uvicorn bench.afternoon.service:app`.
"""

import os
from typing import Any, Final

import redis.asyncio
from fastapi import FastAPI
from pydantic import BaseModel

STREAM: Final = "afternoon:events"
_DAY_SECONDS: Final = 86_400


class Event(BaseModel):
    """One event as it is posted."""

    eventId: str  # noqa: N815 - the contract's name
    userId: str  # noqa: N815 - the contract's name
    eventType: str  # noqa: N815 - the contract's name
    timestamp: str | None = None
    properties: dict[str, Any] = {}


class Events(BaseModel):
    """The body of a request."""

    events: list[Event]


app = FastAPI()
store: Any = redis.asyncio.Redis.from_url(os.environ.get("AFTERNOON_REDIS", "redis://127.0.0.1:6379"))


@app.post("/api/events/track", status_code=202)
async def track(body: Events) -> dict[str, int]:
    """Claims the ids, and adds new events to the stream."""
    async with store.pipeline(transaction=False) as claims:
        for event in body.events:
            claims.set(f"afternoon:id:{event.eventId}", 1, nx=True, ex=_DAY_SECONDS)
        is_new = await claims.execute()
    fresh = [event for event, claimed in zip(body.events, is_new, strict=True) if claimed]
    async with store.pipeline(transaction=False) as adds:
        for event in fresh:
            adds.xadd(STREAM, {"event": event.model_dump_json()})
        await adds.execute()
    return {"accepted": len(fresh), "duplicates": len(body.events) - len(fresh)}


@app.get("/api/users/{user_id}/decisions")
async def decisions(user_id: str) -> list[str]:
    """The ids of the events of the user's last decisions, oldest first."""
    kept = await store.lrange(f"afternoon:decisions:{user_id}", 0, -1)
    return [each.decode().partition(" ")[0] for each in kept]
