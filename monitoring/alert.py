"""What an alert is, and what it may compare."""

import enum
from typing import Final, NamedTuple

from monitoring.promql import Vector

MINUTE: Final = 60.0
HOUR: Final = 3600.0


class Severity(enum.StrEnum):
    """How soon somebody looks."""

    PAGE = "page"
    """At once: users feel it, or soon will."""
    TICKET = "ticket"
    """Within days."""


class Pace(NamedTuple):
    """How fast time goes: with a factor of 1/60 what takes five minutes takes five seconds, so that it can be tried."""

    factor: float

    def __call__(self, seconds: float) -> str:
        """So many seconds as PromQL writes them."""
        milliseconds = round(seconds * self.factor * 1000)
        for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
            if milliseconds % size == 0 and milliseconds:
                return f"{milliseconds // size}{unit}"
        return f"{milliseconds}ms" if milliseconds else "0s"


REAL_PACE: Final = Pace(1.0)
"""That of clocks."""


class Recorded(NamedTuple):
    """An expression that is evaluated all the time, and can be asked for by a name."""

    name: str
    value: Vector

    @property
    def now(self) -> Vector:
        """The value by its name."""
        return Vector(self.name, self.value.labels)


class Alert(NamedTuple):
    """Tells somebody once `when` has given a series for so many seconds."""

    name: str
    severity: Severity
    when: Vector
    seconds: float
    summary: str
    """One line, which may name labels and the value as Prometheus writes it."""
    meaning: str
    actions: tuple[str, ...]
