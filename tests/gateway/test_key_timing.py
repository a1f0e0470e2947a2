"""How long a wrong key is looked at says nothing about where it is wrong."""

import statistics
import time
from collections.abc import Callable
from typing import Final

from journeymesh.access.v1 import access_pb2

from gateway.access.keyring import keyring_of
from mesh import keys
from mesh.errors import Unauthenticated
from mesh.keys import Kind
from tests.gateway.running import NOW_US
from tests.gateway.test_access import issued

PAIRS: Final = 2_000
ATTEMPTS: Final = 8
NOISE: Final = 0.02
"""By what part medians of the same work differ, at most, in the calmest of the attempts."""
CHECKSUM: Final = 6
SECRET: Final = 43


def difference(judge: Callable[[str], object], one: str, other: str) -> float:
    """By what part of it the median time of one differs from that of the other; both are judged in turns."""
    times: dict[str, list[int]] = {one: [], other: []}
    for number in range(PAIRS):
        for text in (one, other) if number % 2 else (other, one):
            began = time.perf_counter_ns()
            judge(text)
            times[text].append(time.perf_counter_ns() - began)
    medians = [statistics.median(each) for each in times.values()]
    return abs(medians[0] - medians[1]) / min(medians)


def wrong_at(text: str, place: int) -> str:
    """The text of a key with another digit at a place of its secret, and the checksum of that."""
    at = len(text) - CHECKSUM - SECRET + place
    body = text[:at] + ("1" if text[at] == "0" else "0") + text[at + 1 : -CHECKSUM]
    return body + keys._checksum(body)


def test_a_key_that_is_wrong_at_its_end_is_refused_as_fast_as_one_that_is_wrong_at_its_beginning() -> None:
    known = issued(Kind.SECRET)
    keyring = keyring_of(access_pb2.GetKeyringResponse(revision="1", entries=[known.entry]))
    first, last = wrong_at(known.text, 0), wrong_at(known.text, SECRET - 1)

    def refuse(text: str) -> str:
        try:
            keyring.find(text, NOW_US)
        except Unauthenticated as error:
            return error.detail
        raise AssertionError(text)

    def careless(text: str) -> bool:
        """Compares as no key may be compared, which shows that the measure would see it."""
        keys.presented(text)
        return all(one == other for one, other in zip(text, known.text, strict=True))

    assert keyring.find(known.text, NOW_US).key_id == known.entry.key_id
    assert {refuse(first), refuse(last)} == {"The key is not known."}
    assert any(difference(refuse, first, last) < NOISE for _ in range(ATTEMPTS))
    assert all(difference(careless, first, last) > NOISE for _ in range(ATTEMPTS))
