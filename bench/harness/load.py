"""Load for benches: endless bodies, senders at a fixed rate, and probes that measure the time to a decision."""

import concurrent.futures
import contextlib
import http.client
import itertools
import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

SENDERS: Final = 16
PROBE_PERIOD_SECONDS: Final = 0.1
_PROBERS: Final = 32
_POLL_SECONDS: Final = 0.03
# A probe that waits long polls less often, so that polling does not slow down a slow system.
_POLL_SHARE: Final = 0.05
# A sender that is further behind than this does not catch up.
_CATCH_UP_SECONDS: Final = 1.0
_HEADERS: Final = {"content-type": "application/json"}
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})

IsDecided = Callable[[http.client.HTTPConnection, str, str], bool]
"""Whether an event is decided on, by its id and its user's."""


class Verdicts(NamedTuple):
    """Answers to one sender: numbers of events, and of whole requests refused with 429 or 503."""

    accepted: int
    rejected: int
    refused: int


class Latency(NamedTuple):
    """The time from an event's POST to its decision, and when in the run that was."""

    at_seconds: float
    seconds: float


def requests(sender: int, batch: int, user_count: int, run: int, name: str = "b") -> Iterator[bytes]:
    """Endless bodies: each user tours the product; one event in nineteen is an error, one is of video playback.

    A user's events come in runs, because client libraries gather a few seconds' events into one call.
    """
    view = '"eventType":"page_view","properties":{"page":"/p%d"}'
    touch = '"eventType":"feature_interaction","properties":{"page":"/p%d","feature":"filter"}'
    click = '"eventType":"click","properties":{"page":"/p%d","element":"next","x":10,"y":20,"effectObserved":true}'
    success = '"eventType":"task_success","properties":{"page":"/p%d","task":"search"}'
    begin = '"eventType":"form_start","properties":{"page":"/p%d","form":"profile"}'
    submit = '"eventType":"form_submit","properties":{"page":"/p%d","form":"profile"}'
    error = '"eventType":"error","properties":{"page":"/p%d","target":"search","errorCode":"http_500"}'
    playback = (
        '"eventType":"video_playback","properties":{"page":"/p%d","videoId":"v","action":"heartbeat",'
        '"positionSeconds":30,"watchedSeconds":10,"durationSeconds":300}'
    )
    way = [view, click, touch, view, touch, success, view, click, playback, begin, submit, success]
    way += [view, touch, click, view, success, touch, error]
    kinds = [kind % (number % 20) for number, kind in enumerate(way * 20)]
    numbers = itertools.count()
    while True:
        parts = []
        for _ in range(batch):
            number = next(numbers)
            user = (number // run * SENDERS + sender) % user_count
            kind = kinds[number % len(kinds)]
            parts.append(f'{{"eventId":"{name}-{sender}-{number}","userId":"user-{user}",{kind}}}')
        yield ('{"events":[' + ",".join(parts) + "]}").encode()


def senders(
    url: str,
    rate: float,
    batch: int,
    user_count: int,
    run: int,
    stop: threading.Event,
    verdicts: list[Verdicts],
    name: str = "b",
) -> list[threading.Thread]:
    """Threads that together offer `rate` events per second evenly, each over its own connection."""
    apart_seconds = batch / rate
    return [
        threading.Thread(
            target=offer,
            args=(
                url,
                requests(sender, batch, user_count, run, name),
                SENDERS * apart_seconds,
                stop,
                verdicts,
                sender * apart_seconds,
            ),
        )
        for sender in range(SENDERS)
    ]


def offer(
    url: str,
    bodies: Iterator[bytes],
    period_seconds: float,
    stop: threading.Event,
    verdicts: list[Verdicts],
    after_seconds: float = 0.0,
) -> None:
    """Sends a request per period; a late one is sent at once, so that the offered rate holds on average."""
    accepted = rejected = refused = 0
    due = time.monotonic() + after_seconds
    with contextlib.closing(connect(url)) as connection:
        while not stop.is_set() and (body := next(bodies, None)) is not None:
            time.sleep(max(0.0, due - time.monotonic()))
            due = max(due + period_seconds, time.monotonic() - _CATCH_UP_SECONDS)
            connection.request("POST", "/api/events/track", body, _HEADERS)
            response = connection.getresponse()
            answer = response.read()
            if response.status == http.client.ACCEPTED:
                accepted += int(answer[answer.index(b":") + 1 : answer.index(b",")])  # "accepted" comes first
                rejected += answer.count(b'"reason"')
            else:
                rejected += answer.count(b'"index"')
                refused += 1
    verdicts.append(Verdicts(accepted, rejected, refused))


def is_applied(connection: http.client.HTTPConnection, event_id: str, user_id: str) -> bool:  # noqa: ARG001 - as `IsDecided`
    """Whether the mesh has decided on an event, by its receipt."""
    return bool(ask(connection, "GET", f"/api/events/{event_id}").get("state") == "applied")


def probe(
    url: str,
    started: float,
    stop: threading.Event,
    latencies: list[Latency],
    period_seconds: float = PROBE_PERIOD_SECONDS,
    poll_seconds: float = _POLL_SECONDS,
    is_decided: IsDecided = is_applied,
    name: str = "probe",
) -> None:
    """Sends an event per period, whether or not the ones before have come through.

    So a slow system cannot thin out the probes that would show how slow it is. Figures may be too high by
    `poll_seconds`, or by a twentieth if that is more.
    """

    def follow(number: int, due: float) -> None:
        event_id, user_id = f"{name}-{number}", f"probe-{number % 50}"
        event = {"eventId": event_id, "userId": user_id, "eventType": "page_view", "properties": {"page": "/"}}
        body = json.dumps({"events": [event]}).encode()
        with contextlib.closing(connect(url)) as connection:
            if ask(connection, "POST", "/api/events/track", body).get("accepted") != 1:
                return
            while not is_decided(connection, event_id, user_id):
                time.sleep(max(poll_seconds, (time.monotonic() - due) * _POLL_SHARE))
            latencies.append(Latency(due - started, time.monotonic() - due))

    with concurrent.futures.ThreadPoolExecutor(_PROBERS) as probers:
        for number in itertools.count():
            due = started + number * period_seconds
            if stop.wait(max(0.0, due - time.monotonic())):
                return
            probers.submit(follow, number, due)


class _Connection(http.client.HTTPConnection):
    """Sends a key with every request."""

    def __init__(self, host: str, port: int | None, key: str) -> None:
        super().__init__(host, port, timeout=30)
        self._headers = {"authorization": f"Bearer {key}"} if key else {}

    def request(  # type: ignore[override]
        self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] = _NO_HEADERS
    ) -> None:
        """Sends a request."""
        super().request(method, url, body, {**self._headers, **headers})


def connect(url: str) -> http.client.HTTPConnection:
    """A connection to a URL; its user name, if it has one, is the key that is sent with every request."""
    parts = urlsplit(url)
    return _Connection(parts.hostname or "", parts.port, parts.username or "")


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> Any:  # noqa: ANN401 - any JSON
    """The JSON of the answer."""
    connection.request(method, path, body, _HEADERS if body else {})
    return json.loads(connection.getresponse().read())


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` (0-1) of the values do not exceed; NaN if there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else math.nan
