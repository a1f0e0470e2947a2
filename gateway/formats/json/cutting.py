"""Cuts an array that is not valid JSON as a whole into its elements, so that a broken one costs no other.

Everything between two brackets is one step, so the time grows with the number of brackets, which is limited.
"""

import re
from typing import Final, NamedTuple

_MOST_STEPS: Final = 50_000

_SPACE: Final = re.compile(rb"\s*+")
_KEY: Final = re.compile(rb'\s*+"((?:[^"\\]++|\\.)*+)"\s*+:\s*+', re.DOTALL)
# A run of brackets is matched at once, and so is everything up to the next run.
_INSIDE: Final = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+"?)*+([\[\]{}]++)', re.DOTALL)
_BETWEEN: Final = re.compile(rb'(?:[^"\[\]{},]++|"(?:[^"\\]++|\\.)*+"?)*+(,|[\[{]++|\])', re.DOTALL)


class Cut(NamedTuple):
    """The elements of an array, yet to be read, and the body without them."""

    elements: list[bytes]
    around: bytes


class _NoArray(Exception):
    """There is no such array, or it has too many brackets."""


def cut(body: bytes, name: bytes, most: int) -> Cut | None:
    """Cuts the array in the member `name` of a body, or the body itself if the name is empty; None if there is none.

    Stops soon after `most` elements; the rest of the body is then lost.
    """
    try:
        steps = _Steps(body)
        start = steps.array(name)
        elements, end = steps.elements(start, most)
    except _NoArray:
        return None
    return Cut(elements, body[:start] + body[end:])


class _Steps:
    """A walk over a body, of a limited number of steps."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._left = _MOST_STEPS

    def array(self, name: bytes) -> int:
        """Where the first element begins."""
        at = self._after_space(0)
        if name:
            at = self._value_of(name, self._after(b"{", at))
        return self._after(b"[", at)

    def elements(self, start: int, most: int) -> tuple[list[bytes], int]:
        """The elements from there on, and the position of the closing bracket.

        If that cannot be found, everything up to the last bracket of the body is one element.
        """
        found: list[bytes] = []
        at = begin = start
        while len(found) <= most:
            try:
                match = self._step(_BETWEEN, at)
                token, at = match[1], match.end()
                if token == b",":
                    found.append(self._body[begin : match.start(1)])
                    begin = at
                elif token == b"]":
                    return _with_last(found, self._body[begin : match.start(1)]), match.start(1)
                else:
                    at = self._close(at, len(token))
            except _NoArray:
                end = self._body.rfind(b"]")
                if not found or end < begin:
                    raise
                return _with_last(found, self._body[begin:end]), end
        return found, len(self._body)

    def _value_of(self, name: bytes, at: int) -> int:
        """Where the value of a member begins; earlier members are skipped."""
        while True:
            key = _KEY.match(self._body, at)
            if key is None:
                raise _NoArray
            if key[1] == name:
                return key.end()
            at = key.end()
            while True:
                match = self._step(_BETWEEN, at)
                at = match.end()
                if match[1] == b",":
                    break
                if match[1] == b"]":
                    raise _NoArray
                at = self._close(at, len(match[1]))

    def _close(self, at: int, depth: int) -> int:
        """The position after the brackets that close the open ones."""
        while depth > 0:
            match = self._step(_INSIDE, at)
            run, at = match[1], match.end()
            opened = run.count(b"[") + run.count(b"{")
            closed = len(run) - opened
            if closed - opened > depth:
                # More closing than open brackets close the array as well, and are looked at again.
                return at - (closed - opened - depth)
            depth += opened - closed
        return at

    def _step(self, pattern: re.Pattern[bytes], at: int) -> re.Match[bytes]:
        self._left -= 1
        match = pattern.match(self._body, at) if self._left > 0 else None
        if match is None:
            raise _NoArray
        return match

    def _after(self, bracket: bytes, at: int) -> int:
        if self._body[at : at + 1] != bracket:
            raise _NoArray
        return self._after_space(at + 1)

    def _after_space(self, at: int) -> int:
        match = _SPACE.match(self._body, at)
        return match.end() if match else at


def _with_last(elements: list[bytes], last: bytes) -> list[bytes]:
    return [*elements, last] if elements or last.strip() else elements
