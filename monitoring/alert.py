"""What an alert is and what it is made of."""

import enum
from typing import Final, NamedTuple

from monitoring.promql import Vector

MINUTE: Final = 60.0
HOUR: Final = 3600.0


class Severity(enum.StrEnum):
    """How soon somebody must look."""

    PAGE = "page"
    """At once: users notice it, or soon will."""
    TICKET = "ticket"
    """Within days."""


class TimeScale(NamedTuple):
    """Scales every duration of the rules: with a factor of 1/60, five minutes become five seconds, for tests."""

    factor: float

    def __call__(self, seconds: float) -> str:
        """A scaled duration as PromQL writes it."""
        milliseconds = round(seconds * self.factor * 1000)
        for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
            if milliseconds % size == 0 and milliseconds:
                return f"{milliseconds // size}{unit}"
        return f"{milliseconds}ms" if milliseconds else "0s"


REAL_TIME: Final = TimeScale(1.0)


class Recorded(NamedTuple):
    """A recording rule: an expression that Prometheus evaluates continuously and keeps under a name."""

    name: str
    value: Vector

    @property
    def now(self) -> Vector:
        """The recorded value."""
        return Vector(self.name, self.value.labels)


class Alert(NamedTuple):
    """Fires once `when` has returned a series for `seconds`."""

    name: str
    severity: Severity
    when: Vector
    seconds: float
    summary: str
    """One line; may contain labels and the value in Prometheus' template syntax."""
    meaning: str
    actions: tuple[str, ...]
