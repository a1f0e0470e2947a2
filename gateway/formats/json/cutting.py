"""Arrays of events that are no JSON as a whole: cut into their elements, so that a broken one never costs the others.

All there is between two brackets is one step, so that the time this takes grows with the number of brackets, which is
bounded.
"""

import re
from typing import Final, NamedTuple

_MOST_STEPS: Final = 50_000

_SPACE: Final = re.compile(rb"\s*+")
_KEY: Final = re.compile(rb'\s*+"((?:[^"\\]++|\\.)*+)"\s*+:\s*+', re.DOTALL)
# A run of brackets counts at once, and so does all there is up to the next run.
_INSIDE: Final = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+"?)*+([\[\]{}]++)', re.DOTALL)
_BETWEEN: Final = re.compile(rb'(?:[^"\[\]{},]++|"(?:[^"\\]++|\\.)*+"?)*+(,|[\[{]++|\])', re.DOTALL)


class Cut(NamedTuple):
    """The elements of an array, each still to be read, and the body as it is without them."""

    elements: list[bytes]
    around: bytes


class _NoArray(Exception):
    """There is no such array, or it is too intricate."""


def cut(body: bytes, name: bytes, most: int) -> Cut | None:
    """Cuts the array that is the member `name` of a body, or with an empty name the body itself.

    None where there is no such array. Ends soon after `most` elements, and then the rest of the body is not told.
    """
    try:
        steps = _Steps(body)
        start = steps.array(name)
        elements, end = steps.elements(start, most)
    except _NoArray:
        return None
    return Cut(elements, body[:start] + body[end:])


class _Steps:
    """One walk over a body."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._left = _MOST_STEPS

    def array(self, name: bytes) -> int:
        """Where the array's first element begins."""
        at = self._after_space(0)
        if name:
            at = self._value_of(name, self._after(b"{", at))
        return self._after(b"[", at)

    def elements(self, start: int, most: int) -> tuple[list[bytes], int]:
        """The elements from there on, and where the array's closing bracket stands.

        Where that cannot be found, all that is left up to the last bracket is one element.
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
        """Where the value of a member begins; what stands before it is skipped."""
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
        """Past the brackets that close those that are open."""
        while depth > 0:
            match = self._step(_INSIDE, at)
            run, at = match[1], match.end()
            opened = run.count(b"[") + run.count(b"{")
            closed = len(run) - opened
            if closed - opened > depth:
                # What closes more than is open closes the array as well, and is looked at again.
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
