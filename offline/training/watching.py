"""A user watched as the services watch one: the features service's code for the state, scoring's for the rules."""

from typing import NamedTuple

from services.features.domain import journey as features
from services.features.domain.event import Event
from services.features.domain.state import State
from services.features.domain.vector import past, vector
from services.scoring.domain import history, rules


class Seen(NamedTuple):
    """What the services know of a user at one time: the probability of the rules alone; the features, then history."""

    rule_probability: float
    values: list[float]


class Watch:
    """One user, event by event: the state and the signals that have not ended."""

    def __init__(self) -> None:
        self.state = State()
        self.signals: list[history.Signal] = []

    def take(self, event: Event) -> None:
        """Applies an event."""
        found = features.apply(self.state, event)
        if found is features.NOTHING and not self.signals:
            return
        over = {history.Settled(each.type, each.at_us, each.target) for each in found.settled}
        new = [
            history.Signal(each.type, each.strength, each.at_us, each.reason, b"", each.target, each.run_start_us)
            for each in found.signals
        ]
        left = history.drop(self.signals, over)
        self.signals = history.keep(left, new, event.at_us) if left or new else left

    def seen(self, at_us: int) -> Seen:
        """What is known at a time that is not before the last event."""
        values = vector(self.state, at_us)
        found = rules.find(history.active(self.signals, at_us), values)
        return Seen(rules.probability(found), values + past(self.state, at_us))
