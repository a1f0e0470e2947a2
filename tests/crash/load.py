"""Clients that do what clients do: send in order, and send a batch again until it is answered."""

import datetime as dt
import http.client
import itertools
import json
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol, Self

from offline.datasets import simulator
from tests.processes import Answer

Event = dict[str, Any]

SENDERS: Final = 4
BATCH: Final = 20
PATIENCE_SECONDS: Final = 120.0
_TWICE_EVERY: Final = 25
_WRONG_EVERY: Final = 15


class Front(Protocol):
    """What takes events for a mesh."""

    def track(self, *events: Event) -> Answer:
        """Sends events."""


class Tally(NamedTuple):
    """What the clients saw, in events of answered requests; `repeats` counts the requests that had no answer."""

    sent: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    sent_twice: int = 0
    """Of the duplicates, those that were sent again although they had been answered."""
    wrong: int = 0
    """Of the rejected, how many different ones there are."""
    repeats: int = 0


def journeys(users: int, count: int) -> list[Event]:
    """Many users' journeys of the last two days, each event with an id and a time of its own."""
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=2)
    return list(itertools.islice(simulator.events(users, seed=7, start=start), count))


def wrong(event: Event) -> Event:
    """An event that must be refused."""
    return {**event, "eventId": f"wrong-{event['eventId']}", "eventType": "page_veiw"}


class Load:
    """Sends journeys, each user's in order by one client, and never gives up on a batch.

    Some batches hold an event that must be refused besides, and some are sent again although they were answered.
    """

    def __init__(self, mesh: Front, events: Sequence[Event]) -> None:
        self._mesh = mesh
        users = sorted({event["userId"] for event in events})
        client_of = {user: number % SENDERS for number, user in enumerate(users)}
        self._events = [[one for one in events if client_of[one["userId"]] == number] for number in range(SENDERS)]
        self._is_enough = False
        self._tallies = [Tally()] * SENDERS
        self._faults: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(SENDERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()
        if self._faults:
            raise self._faults[0]

    def end(self) -> None:
        """Sends no further batches."""
        self._is_enough = True

    def is_over(self) -> bool:
        """Whether a client has failed or all have sent everything."""
        return bool(self._faults) or not any(thread.is_alive() for thread in self._threads)

    def count(self) -> int:
        """Events answered so far."""
        return sum(tally.sent for tally in self._tallies)

    def total(self) -> Tally:
        """What all clients saw."""
        return Tally(*(sum(counts) for counts in zip(*self._tallies, strict=True)))

    def _run(self, number: int) -> None:
        try:
            self._send_all(number)
        except BaseException as error:  # noqa: BLE001 - told where the load ends
            self._faults.append(error)

    def _send_all(self, number: int) -> None:
        for index, batch in enumerate(_batches(self._events[number]), start=1):
            if self._is_enough:
                return
            sent = [*batch, wrong(batch[0])] if index % _WRONG_EVERY == 0 else batch
            self._send(number, sent, is_repetition=False)
            if index % _TWICE_EVERY == 0:
                self._send(number, sent, is_repetition=True)

    def _send(self, number: int, batch: list[Event], *, is_repetition: bool) -> None:
        answer, repeats = self._send_until_answered(batch)
        accepted, duplicates, rejected = answer["accepted"], answer["duplicates"], len(answer["rejected"])
        assert accepted + duplicates + rejected == len(batch)
        assert not (is_repetition and accepted)
        twice = len(batch) - rejected if is_repetition else 0
        told = (len(batch), accepted, duplicates, rejected, twice, 0 if is_repetition else rejected, repeats)
        self._tallies[number] = Tally(*(a + b for a, b in zip(self._tallies[number], told, strict=True)))

    def _send_until_answered(self, batch: list[Event]) -> tuple[dict[str, Any], int]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        for repeats in itertools.count():
            assert time.monotonic() < deadline, "the mesh did not come back"
            try:
                answer = self._mesh.track(*batch)
            except (OSError, http.client.HTTPException, json.JSONDecodeError):  # killed, at any point of an answer
                answer = None
            if answer is not None and answer.status == 202:
                return answer.body, repeats
            time.sleep(0.05)
        raise AssertionError


def _batches(events: Sequence[Event]) -> Iterator[list[Event]]:
    rest = iter(events)
    while batch := list(itertools.islice(rest, BATCH)):
        yield batch
