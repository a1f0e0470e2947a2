"""A user watched as the services watch one: the features service's code for the state, scoring's for the rules."""

from collections.abc import Sequence
from typing import NamedTuple

from offline.training.table import NO_DOUBTS
from services.features.domain import journey as features
from services.features.domain import own
from services.features.domain.event import Event
from services.features.domain.own import NO_COLUMNS, Columns
from services.features.domain.state import State
from services.features.domain.vector import past, vector
from services.scoring.domain import history, rules


class Seen(NamedTuple):
    """What the services know of a user at one time.

    `values` are the features, then those of history, then the own columns of numbers; `words` the own columns of words.
    `rule_doubts` are by rule; see `rules.doubts`.
    """

    rule_probability: float
    values: list[float]
    words: list[str]
    rule_doubts: Sequence[float]


class Watch:
    """One user, event by event: the state and the signals that have not ended."""

    def __init__(self, columns: Columns = NO_COLUMNS) -> None:
        self._columns = columns
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
        numbers = own.values(self.state.numbers, self._columns)
        words = own.latest(self.state.words, self._columns)
        doubts = rules.doubts(found) if found else NO_DOUBTS
        return Seen(rules.probability(found), [*values, *past(self.state, at_us), *numbers], words, doubts)
