"""Refuses requests by their heads alone: those of callers who go on sending although nothing is left of their limit.

The first such request goes through the whole gateway. For a second its refusal is known by what decided it: method,
target, and the fields of the head that say who sends it. A request that agrees in all of them is answered once its head
is there, if nothing is left by then. It gets no task and no span, and its body is thrown away. That costs a sixth, so
the refusals of one caller slow the others down little.
"""

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from gateway.http import problems
from gateway.http.asgi import Headers
from gateway.http.rates import Limit, Rates
from gateway.transport import canned_answers
from mesh.clock import SECOND_US, Clock
from mesh.errors import ResourceExhausted

_DECIDING: Final = frozenset((b"authorization", b"origin", b"x-journeymesh-user-token"))
_KNOWN_US: Final = SECOND_US
_MAX_KNOWN: Final = 4096
_MAX_WRITTEN: Final = 256

Count = Callable[[], object]
"""Counts a request that was refused."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Refusal:
    ends_us: int
    limits: Sequence[Limit]
    headers: Headers
    count: Count


class Refusals:
    """The refusals of the last second.

    Args:
        rates: says what is left of limits.
        monotonic: microseconds since some moment.
    """

    def __init__(self, rates: Rates, monotonic: Clock) -> None:
        self._rates = rates
        self._monotonic = monotonic
        self._known: dict[bytes, _Refusal] = {}

    def note(
        self, method: str, target: bytes, fields: Headers, limits: Sequence[Limit], headers: Headers, count: Count
    ) -> None:
        """Records that nothing was left of the limits of a request, and the headers of every answer to it."""
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        ends_us = self._monotonic() + _KNOWN_US
        self._known[_identity(method, target, fields)] = _Refusal(ends_us, limits, headers, count)

    def answer(self, method: str, target: bytes, fields: Iterable[tuple[bytes, bytes]], first: Headers) -> bytes | None:
        """The whole answer to a request whose refusal is known; None if it is not, or something is left by now.

        `first` are headers that every answer of the server begins with.
        """
        if not self._known:
            return None
        identity = _identity(method, target, fields)
        known = self._known.get(identity)
        if known is None:
            return None
        if known.ends_us <= self._monotonic():
            del self._known[identity]
            return None
        error = self._rates.refusal(known.limits)
        if error is None:
            return None
        known.count()
        seconds = math.ceil(error.retry_after_seconds or 0)
        headers = (*known.headers, *self._rates.headers(known.limits))
        return _written(
            error.reason, error.detail, seconds, first, headers, target.startswith(problems.INFERENCE.encode())
        )


@functools.lru_cache(_MAX_WRITTEN)
def _written(reason: str, detail: str, seconds: int, first: Headers, headers: Headers, is_inference: bool) -> bytes:  # noqa: FBT001
    error = ResourceExhausted(reason, detail, seconds)
    return canned_answers.written(problems.answer(error, b"", headers=headers, is_inference=is_inference), first)


def _identity(method: str, target: bytes, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """What decides whether a request is refused. A hash, because it is made from a key's text."""
    deciding = [name + b":" + value for name, value in fields if name in _DECIDING]
    return hashlib.sha256(b"\n".join((method.encode(), target, *deciding))).digest()
