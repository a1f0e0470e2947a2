"""Made-up journeys with a known story, for demos, load and tests; nothing is trained on them.

User n follows story n modulo the number of stories, so a hundred users follow all of them. The same seed gives the
same events, whatever the number of users.
"""

import heapq
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

START: Final = datetime(2026, 1, 2, 10, 0, tzinfo=UTC)
SPREAD_SECONDS: Final = 3600.0
"""Users begin within an hour."""

Step = tuple[float, str, dict[str, object]]
"""Seconds since the previous step, event type, properties."""

Story = Callable[[random.Random], Iterator[Step]]


def events(users: int, seed: int = 1, start: datetime = START) -> Iterator[dict[str, object]]:
    """The users' events in time order, as clients would send them; ties are in the order of users."""
    journeys = (_journey(number, seed, start) for number in range(users))
    for _, event in heapq.merge(*journeys, key=lambda entry: entry[0]):
        yield event


def user_id(number: int) -> str:
    """The id of user number n. It names the story. Example: `sim-form-trouble-000002`."""
    return f"sim-{_names[number % len(_names)]}-{number:06d}"


def _journey(number: int, seed: int, start: datetime) -> Iterator[tuple[datetime, dict[str, object]]]:
    draw = random.Random(f"{seed}-{number}")  # noqa: S311 - a seeded story, not a secret
    story = STORIES[_names[number % len(_names)]]
    platform = draw.choice(["web", "web", "mobile"])
    now = start + timedelta(seconds=draw.uniform(0, SPREAD_SECONDS))
    for index, (gap_seconds, kind, properties) in enumerate(story(draw)):
        now += timedelta(seconds=gap_seconds)
        event: dict[str, object] = {
            "eventId": f"sim-{seed}-{number:06d}-{index:04d}",
            "userId": user_id(number),
            "eventType": kind,
            "timestamp": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "properties": properties,
            "context": {"platform": platform, "deviceId": f"sim-device-{number:06d}", "timeZone": "Europe/Berlin"},
        }
        yield now, event


def _calm(draw: random.Random) -> Iterator[Step]:
    """Looks around, tries things, succeeds."""
    for _ in range(draw.randint(8, 20)):
        page = f"/products/{draw.randint(1, 30)}"
        yield draw.uniform(15, 60), "page_view", {"page": page}
        if draw.random() < 0.5:
            yield draw.uniform(3, 20), "feature_interaction", {"page": page, "feature": "filter"}
        if draw.random() < 0.6:
            yield draw.uniform(3, 20), "task_success", {"page": page, "task": "compare"}


def _struggling(draw: random.Random) -> Iterator[Step]:
    """The calculator repeatedly rejects what is entered."""
    page = "/calculator"
    yield 0.0, "page_view", {"page": page}
    yield 15.0, "feature_interaction", {"page": page, "feature": "loan_amount"}
    for _ in range(draw.randint(1, 3)):
        yield draw.uniform(5, 20), "error", {"page": page, "feature": "loan_amount", "errorCode": "http_500"}
    yield 10.0, "struggle_signal", {"page": page, "attempts": draw.randint(2, 5)}
    if draw.random() < 0.5:
        yield draw.uniform(5, 30), "help_request", {"page": "/help"}
    yield draw.uniform(5, 60), "session_end", {"page": page}


def _form_trouble(draw: random.Random) -> Iterator[Step]:
    """Was keen yesterday; today a form rejects everything."""
    yield from _keen_session(draw)
    page, form = "/apply", "loan-form"
    yield 86_400.0, "page_view", {"page": page}
    yield 8.0, "form_start", {"page": page, "form": form}
    for _ in range(3):
        yield draw.uniform(10, 30), "form_submit", {"page": page, "form": form}
        yield 0.5, "error", {"page": page, "form": form, "errorCode": "validation"}
    yield draw.uniform(10, 30), "help_request", {"page": page}
    yield draw.uniform(30, 120), "help_request", {"page": page}
    for _ in range(draw.randint(3, 5)):
        yield draw.uniform(5, 20), "page_view", {"page": page, "isRefresh": True}
    yield draw.uniform(10, 60), "form_abandon", {"page": page, "form": form}


def _keen_session(draw: random.Random) -> Iterator[Step]:
    yield 0.0, "page_view", {"page": "/home"}
    for _ in range(draw.randint(8, 14)):
        yield draw.uniform(5, 40), "feature_interaction", {"page": "/home", "feature": f"card-{draw.randint(1, 9)}"}
    yield draw.uniform(5, 40), "task_success", {"page": "/home", "task": "profile"}


def _video_learner(draw: random.Random) -> Iterator[Step]:
    """Watches most of a lecture, repeats parts of it, and does the exercise."""
    page, length, position = "/learn/loans", 600.0, 0.0
    video: dict[str, object] = {"page": page, "videoId": "loans-1", "durationSeconds": length, "topic": "loans"}
    video |= {"contentType": "interactive", "viewingId": f"v-{draw.randint(1, 10**9)}"}
    yield 0.0, "page_view", {"page": page}
    yield 3.0, "video_playback", {**video, "action": "play", "positionSeconds": 0.0}
    replay_count = 0
    while position < length * 0.85:
        position += 10.0
        heartbeat = {"action": "heartbeat", "positionSeconds": position, "watchedSeconds": 10.0}
        yield 10.0, "video_playback", {**video, **heartbeat}
        if replay_count < 3 and draw.random() < 0.08:
            replay_count += 1
            back = max(0.0, position - 30.0)
            seek = {"action": "seek", "positionSeconds": back, "seekFromSeconds": position}
            yield 1.0, "video_playback", {**video, **seek}
            position = back
    yield 1.0, "video_playback", {**video, "action": "pause", "positionSeconds": position}
    yield 20.0, "feature_interaction", {"page": page, "feature": "exercise"}
    yield 60.0, "task_success", {"page": page, "task": "exercise"}


def _broken_button(draw: random.Random) -> Iterator[Step]:
    """Wants to pay; the button does nothing."""
    page = "/checkout"
    yield 0.0, "page_view", {"page": page}
    place: dict[str, object] = {"page": page, "element": "pay", "x": 410.0, "y": 600.0}
    yield 20.0, "click", {**place, "effectObserved": False}
    for _ in range(draw.randint(3, 6)):
        yield draw.uniform(0.15, 0.3), "click", {**place, "effectObserved": False}
    yield draw.uniform(2, 20), "page_view", {"page": "/help"}


def _buyer(draw: random.Random) -> Iterator[Step]:
    """Finds something and buys it."""
    for _ in range(draw.randint(2, 6)):
        yield draw.uniform(10, 50), "page_view", {"page": f"/products/{draw.randint(1, 30)}"}
        yield draw.uniform(2, 10), "click", {"page": "/products", "element": "photo", "effectObserved": True}
    yield 15.0, "form_start", {"page": "/checkout", "form": "checkout-form"}
    yield 60.0, "form_submit", {"page": "/checkout", "form": "checkout-form"}
    yield 1.0, "purchase", {"page": "/checkout", "amount": round(draw.uniform(5, 200), 2), "currency": "EUR"}


def _lost(draw: random.Random) -> Iterator[Step]:
    """Clicks back and forth and finds nothing."""
    yield 0.0, "page_view", {"page": "/home"}
    for _ in range(draw.randint(5, 9)):
        yield draw.uniform(2, 6), "page_view", {"page": f"/docs/{draw.randint(1, 40)}"}
        yield draw.uniform(1, 4), "page_view", {"page": "/home"}
    yield draw.uniform(1, 9), "session_end", {"page": "/home"}


STORIES: Final[dict[str, Story]] = {
    "calm": _calm,
    "struggling": _struggling,
    "form-trouble": _form_trouble,
    "video-learner": _video_learner,
    "broken-button": _broken_button,
    "buyer": _buyer,
    "lost": _lost,
}
"""By name, in the order in which they are assigned to users."""

_names: Final = tuple(STORIES)
