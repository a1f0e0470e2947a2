"""Rows, facts and services for tests."""

import dataclasses
from collections.abc import Sequence

from mesh.applied import Batch
from mesh.states.memory import MemoryState
from services.intervention.adapters.listeners import LocalListeners
from services.intervention.adapters.memory import MemoryLedger
from services.intervention.domain.facts import Assessment, Facts, Indicator, Level, Outcome, OutcomeReport, Position
from services.intervention.domain.ledger import Decision
from services.intervention.usecases import Interventions, Made, Rows

MINUTE = 60_000_000
HOUR = 60 * MINUTE
# A Wednesday, ten in the morning in Berlin.
NOON_ISH = 1_767_776_400_000_000


@dataclasses.dataclass
class ManualClock:
    """A clock that a test sets."""

    now_us: int = NOON_ISH

    def __call__(self) -> int:
        return self.now_us


class RecordingWitness:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.decision_ids: list[str] = []

    def made(self, decision_id: str, decision: Decision, span_id: bytes) -> None:
        """See `services.intervention.ports.Witness`."""
        assert decision.verdict.intervention is not None
        self.decision_ids.append(decision_id)


@dataclasses.dataclass(frozen=True)
class Row:
    """One event with its assessment."""

    score: float = 10.0
    at_us: int = NOON_ISH
    user_id: str = "ada"
    strong: int = 0
    indicators: tuple[str, ...] = ()
    confidence: float = 0.8
    page: str = "/calculator"
    time_zone: str = "Europe/Berlin"
    is_bot: bool = False
    outcome: OutcomeReport | None = None
    trace: int = 7

    @property
    def assessment(self) -> Assessment:
        """What scoring would say."""
        indicators = tuple(Indicator(name, 10.0 - i, f"because of {name}") for i, name in enumerate(self.indicators))
        return Assessment(self.score, level_of(self.score), self.confidence, 1.0, 2.0, self.strong, indicators)


def level_of(score: float) -> Level:
    """The level of a score."""
    if score < 40:
        return Level.LOW
    if score < 70:
        return Level.MEDIUM
    return Level.HIGH if score < 90 else Level.CRITICAL


def outcome(what: Outcome, intervention_id: str = "", channel: str = "", **row: object) -> Row:
    """An outcome as an event."""
    return dataclasses.replace(Row(**row), outcome=OutcomeReport(intervention_id, what, channel))  # type: ignore[arg-type]


def facts(row: Row) -> Facts:
    """What a decision knows of a row."""
    return Facts(
        position=Position("3", 1, 0),
        user_id=row.user_id,
        event_id="e-1",
        received_us=row.at_us,
        trace_id=row.trace.to_bytes(16, "big"),
        page=row.page,
        time_zone=row.time_zone,
        is_bot=row.is_bot,
        outcome=row.outcome,
        assessment=row.assessment,
        model_version="model-1",
        rules_version="rules-1",
    )


def batch(first: int, records: Sequence[Sequence[Row]]) -> tuple[Batch, Rows]:
    """A batch of records whose sequence numbers begin at `first`."""
    flat = [(record, index, row) for record, rows in enumerate(records) for index, row in enumerate(rows)]
    rows = Rows(
        record_indexes=[record for record, _, _ in flat],
        event_indexes=[index for _, index, _ in flat],
        user_ids=[row.user_id for _, _, row in flat],
        event_ids=[f"e-{first + record}-{index}" for record, index, _ in flat],
        received_us=[row.at_us for _, _, row in flat],
        trace_ids=[row.trace.to_bytes(16, "big") for _, _, row in flat],
        span_ids=[bytes(8) for _ in flat],
        pages=[row.page for _, _, row in flat],
        time_zones=[row.time_zone for _, _, row in flat],
        assessments=[row.assessment for _, _, row in flat],
        bot_rows=[i for i, (_, _, row) in enumerate(flat) if row.is_bot],
        outcomes={i: row.outcome for i, (_, _, row) in enumerate(flat) if row.outcome is not None},
        model_version="model-1",
        rules_version="rules-1",
    )
    return Batch("events", "3", tuple(range(first, first + len(records)))), rows


class World:
    """The service over memory, fed record by record."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.state = MemoryState()
        self.ledger = MemoryLedger()
        self.witness = RecordingWitness()
        self.listeners = LocalListeners(limit=4)
        self.interventions = Interventions(
            self.state, self.ledger, self.witness, self.listeners, self.clock, poll_seconds=60
        )
        self.sequence = 0

    async def deliver(self, first: int, records: Sequence[Sequence[Row]]) -> list[Made]:
        """Decides a batch."""
        return await self.interventions.decide(*batch(first, records))

    async def send(self, *rows: Row) -> list[Made]:
        """Decides one more record; the clock follows its last event."""
        self.sequence += 1
        self.clock.now_us = rows[-1].at_us
        return await self.deliver(self.sequence, [rows])

    async def last(self, user_id: str = "ada") -> Decision:
        """The last decision on a user."""
        return (await self.interventions.decisions_of_user(user_id, 1))[0]
