"""Reads the stream 500 events at a time: counts per event, scores once per user and batch, decides.

Run: `python -m bench.afternoon.worker <redis url> <folder of the model>`.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
import redis

from bench.afternoon.service import STREAM

_GROUP: Final = "workers"
_BATCH: Final = 500
_TRIGGER: Final = 0.7
_LAST_EVENTS: Final = 20
# Which of a user's counts an event type increments.
_COUNTS: Final = {
    "error": "error_count",
    "retry": "retry_count",
    "help_request": "help_requests",
    "form_abandon": "form_abandons",
    "page_view": "unique_pages_visited",
    "task_success": "successes",
}


def main() -> None:
    """Works until it is stopped."""
    url, folder = sys.argv[1:]
    store: Any = redis.Redis.from_url(url)
    described = json.loads(Path(folder, "model.json").read_text(encoding="utf-8"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = onnxruntime.InferenceSession(Path(folder, "model.onnx").read_bytes(), options)
    store.xgroup_create(STREAM, _GROUP, id="0", mkstream=True)
    while True:
        for _, entries in store.xreadgroup(_GROUP, "worker", {STREAM: ">"}, count=_BATCH, block=1000) or []:
            work(store, model, described["features"], entries)


def work(store: Any, model: Any, names: list[str], entries: list[Any]) -> None:  # noqa: ANN401 - of libraries without types
    """Processes one batch, and acknowledges it."""
    events = [json.loads(fields[b"event"]) for _, fields in entries]
    now = time.time()
    with store.pipeline(transaction=False) as pipe:
        for event in events:
            user = event["userId"]
            pipe.hincrby(f"afternoon:user:{user}", _COUNTS.get(event["eventType"], "others"), 1)
            pipe.hset(f"afternoon:user:{user}", "last", now)
            pipe.lpush(f"afternoon:events:{user}", json.dumps(event))
            pipe.ltrim(f"afternoon:events:{user}", 0, _LAST_EVENTS - 1)
        pipe.execute()
    last = {event["userId"]: event["eventId"] for event in events}
    with store.pipeline(transaction=False) as pipe:
        for user in last:
            pipe.hgetall(f"afternoon:user:{user}")
        known = pipe.execute()
    with store.pipeline(transaction=False) as pipe:
        for (user, event_id), counts in zip(last.items(), known, strict=True):
            row = np.array([[float(counts.get(name.encode(), 0)) for name in names]])
            (probability,) = model.run(["probability"], {"features": row})
            risk = float(np.ravel(probability)[-1])
            pipe.rpush(f"afternoon:decisions:{user}", f"{event_id} {'help' if risk >= _TRIGGER else 'none'} {risk:.3f}")
            pipe.ltrim(f"afternoon:decisions:{user}", -_LAST_EVENTS, -1)
        pipe.xack(STREAM, _GROUP, *(entry_id for entry_id, _ in entries))
        pipe.execute()


if __name__ == "__main__":
    main()
