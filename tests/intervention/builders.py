"""Rows, facts and services for tests."""

import dataclasses
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mesh.observability.metrics import Metrics
from mesh.state.applied import Batch
from mesh.state.memory import MemoryShards, MemoryState
from services.intervention.batch.deciding import BatchResult, Deciding
from services.intervention.batch.effects import Created
from services.intervention.batch.rows import Rows
from services.intervention.decision.adapters.listeners import LocalListeners
from services.intervention.decision.adapters.memory import MemoryLedger
from services.intervention.decision.domain.facts import (
    Assessment,
    Contact,
    EventPosition,
    Facts,
    Indicator,
    Level,
    Outcome,
    OutcomeReport,
    Purchase,
)
from services.intervention.decision.domain.ledger import Decision
from services.intervention.decision.domain.linking import decode
from services.intervention.decision.domain.segment import Segment
from services.intervention.decision.domain.strategy import Intervention
from services.intervention.decision.ports import OutcomeEvent
from services.intervention.delivery.adapters.outbox_memory import MemoryOutbox
from services.intervention.erasing import Erasing
from services.intervention.exporting import Exporting
from services.intervention.language.adapters.budget_memory import MemorySpending
from services.intervention.language.adapters.prompts import MemoryPrompts, NoPrompts
from services.intervention.language.adapters.silence import NoInsights, NoTrials, SilentModelObserver
from services.intervention.language.domain.budget import Amount
from services.intervention.language.usecases.analysis import Analyses
from services.intervention.language.usecases.copywriting import Copywriter
from services.intervention.language.usecases.models import Models
from services.intervention.language.usecases.prompts import Prompts
from services.intervention.lift.adapters.reports import MOST, MemoryReports
from services.intervention.lift.domain.judged import Judged
from services.intervention.live.adapters.memory import MemoryFeed
from services.intervention.live.usecases import Live
from services.intervention.policy.adapters.store import MemoryPolicies
from services.intervention.policy.adapters.yaml import parse
from services.intervention.policy.domain.arms import Configured
from services.intervention.policy.domain.interpretation import policy_of
from services.intervention.policy.domain.policy import EventKind, Policy
from services.intervention.policy.domain.timeline import DatedPolicy, Timeline
from services.intervention.policy.ports import Documents
from services.intervention.policy.usecases import Policies
from services.intervention.reading import Reading
from services.intervention.servicer import InterventionServicer

POLICIES = Path(__file__).parents[2] / "policies"
DOCUMENT = (POLICIES / "default.yaml").read_text()
POLICY = policy_of(parse(DOCUMENT))

MINUTE = 60_000_000
HOUR = 60 * MINUTE
# A Wednesday, ten in the morning in Berlin.
NOON_ISH = 1_767_776_400_000_000


def no_prompts() -> Prompts:
    """Only the built-in prompt."""
    return Prompts(NoPrompts(), MemoryPrompts(), lambda: NOON_ISH, "", "")


@dataclasses.dataclass
class ManualClock:
    """A clock that a test sets."""

    now_us: int = NOON_ISH

    def __call__(self) -> int:
        return self.now_us


class RecordingObserver:
    """Keeps what was reported to it."""

    def __init__(self) -> None:
        self.decision_ids: list[str] = []
        self.outcomes: list[OutcomeEvent] = []

    is_enabled = True

    def created(self, decision_id: str, decision: Decision, span_id: bytes) -> None:
        """See `services.intervention.decision.ports.Observer`."""
        assert decision.verdict.intervention is not None
        self.decision_ids.append(decision_id)

    def outcome(self, event: OutcomeEvent) -> None:
        """See `services.intervention.decision.ports.Observer`."""
        self.outcomes.append(event)


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
    kind: int = EventKind.PAGE_VIEW
    target: str = ""
    bought: Purchase | None = None
    products: tuple[str, ...] = ()
    segment: Segment | None = None
    contact: Contact | None = None
    features: tuple[float, ...] = ()
    age_us: int = 0
    is_copy: bool = False
    is_system: bool = False
    is_settled: bool = False
    latest_signal_us: int = 0
    # The probability that scoring told.
    told: float | None = None
    # What comes to the user from an anonymous one, and whom an anonymous one turns out to be.
    standing: bytes = b""
    linked: str = ""

    @property
    def assessment(self) -> Assessment:
        """What scoring would say."""
        indicators = tuple(Indicator(name, 10.0 - i, f"because of {name}") for i, name in enumerate(self.indicators))
        numbers = (self.score, level_of(self.score), self.confidence, 1.0, 2.0, self.strong)
        return Assessment(*numbers, indicators, self.latest_signal_us, self.told)


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
        position=EventPosition("3", 1, 0),
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
        kind=row.kind,
        target=row.target,
        bought=row.bought,
        products=row.products,
        segment=row.segment,
        age_us=row.age_us,
        is_copy=row.is_copy,
        is_system=row.is_system,
        is_settled=row.is_settled,
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
        kinds=[row.kind for _, _, row in flat],
        targets=[row.target for _, _, row in flat],
        purchases={i: row.bought for i, (_, _, row) in enumerate(flat) if row.bought is not None},
        products={i: row.products for i, (_, _, row) in enumerate(flat) if row.products},
        segments={i: row.segment for i, (_, _, row) in enumerate(flat) if row.segment is not None},
        contacts={i: row.contact for i, (_, _, row) in enumerate(flat) if row.contact is not None},
        features={i: row.features for i, (_, _, row) in enumerate(flat) if row.features},
        feature_names=("error_count", "retry_count"),
        feature_schema_version="features-1",
        event_us=[row.at_us - row.age_us for _, _, row in flat],
        copied_rows=[i for i, (_, _, row) in enumerate(flat) if row.is_copy],
        system_rows=[i for i, (_, _, row) in enumerate(flat) if row.is_system],
        settled_rows=[i for i, (_, _, row) in enumerate(flat) if row.is_settled],
        transfers={i: decode(row.standing) for i, (_, _, row) in enumerate(flat) if row.standing},
        linked={i: row.linked for i, (_, _, row) in enumerate(flat) if row.linked},
        model_outcomes={"model-1": "never returns"} if any(row.told is not None for _, _, row in flat) else {},
    )
    return Batch("events", "3", tuple(range(first, first + len(records)))), rows


def judged(first: int, records: Sequence[Sequence[Row]]) -> tuple[Batch, Rows]:
    """The same, where a record's rows of one user lead to one decision, which is about the last of them."""
    at, rows = batch(first, records)
    whose = list(zip(rows.record_indexes, rows.user_ids, strict=True))
    decided = sorted({who: row for row, who in enumerate(whose)}.values())
    numbers = {whose[row]: number for number, row in enumerate(decided)}

    def columns(of: Sequence[Any]) -> list[Any]:
        return [of[row] for row in decided]

    return at, dataclasses.replace(
        rows,
        user_ids=columns(rows.user_ids),
        event_ids=columns(rows.event_ids),
        pages=columns(rows.pages),
        time_zones=columns(rows.time_zones),
        assessments=columns(rows.assessments),
        features={row: values for row, values in rows.features.items() if row in decided},
        settled_rows=sorted({decided[numbers[whose[row]]] for row in rows.settled_rows}),
        decided_rows=decided,
        decisions=[numbers[who] for who in whose],
    )


def arrival(user_id: str, at_us: int, standing: bytes) -> Row:
    """What was remembered of an anonymous user comes to a known one."""
    return Row(at_us=at_us, user_id=user_id, time_zone="", kind=EventKind.IDENTIFY, is_copy=True, standing=standing)


class RecordingWords:
    """Keeps what words were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ask(self, made: Sequence[tuple[Facts, Intervention]]) -> None:
        """See `services.intervention.decision.ports.Copywriting`."""
        self.asked += [help_.id for _, help_ in made]


def edited(**members: object) -> str:
    """The default policy with other members, as a document."""
    tree = parse(DOCUMENT)
    assert isinstance(tree, dict)
    return yaml.safe_dump({**tree, **members})


def policy(**members: object) -> Policy:
    """The default policy with other members."""
    return policy_of(parse(edited(**members)))


@functools.cache
def _dated(start_us: int, document: str) -> tuple[DatedPolicy, Policy]:
    made = policy_of(parse(document))
    return DatedPolicy(start_us, made.version, document), made


class World:
    """The service over memory, fed record by record, under policies by their start."""

    def __init__(
        self,
        document: str = DOCUMENT,
        *later: tuple[int, str],
        compares_words: bool = False,
        judged: Mapping[str, Judged] | None = None,
        by_stays: Mapping[str, Sequence[Configured]] | None = None,
        most_reports: int = MOST,
    ) -> None:
        self.clock = ManualClock()
        self.state = MemoryState()
        self.shards = MemoryShards()
        self.ledger = MemoryLedger()
        self.outbox = MemoryOutbox()
        self.observer = RecordingObserver()
        self.words = RecordingWords()
        self.listeners = LocalListeners(limit=4)
        dated = [_dated(*each) for each in ((0, document), *later)]
        store = MemoryPolicies([each for each, _ in dated])
        self.policies = Policies(store, MemoryPolicies(), parse, self.clock, Timeline(dated))
        self.reports = MemoryReports(most_reports)
        self.notice_count = 0
        self.live = Live(MemoryFeed(), 2, pause_seconds=0.01)
        self.deciding = Deciding(
            self.policies,
            self.state,
            self.shards,
            self.ledger,
            self.outbox,
            self.reports,
            self.observer,
            self.listeners,
            self.words,
            self._notice,
            self.clock,
            tell=self.live.tell,
            compares_words=compares_words,
            judged=lambda: judged or {},
            by_stays=lambda: by_stays or {},
        )
        self.reading = Reading(
            self.policies,
            self.state,
            self.shards,
            self.ledger,
            self.outbox,
            self.listeners,
            self.clock,
            poll_seconds=60,
        )
        self.sequence = 0

    def _notice(self) -> None:
        self.notice_count += 1

    def servicer(self) -> InterventionServicer:
        """The face of the service."""
        models = Models(
            None, lambda _: MemorySpending(), SilentModelObserver(), self.clock, self.clock, limits=Amount(0, 0)
        )
        copywriter = Copywriter(
            models, self.state, self.listeners, self.clock, self.clock, NoTrials(), no_prompts(), deadline_seconds=5
        )
        analyses = Analyses(models, NoInsights(), self.clock, self.clock, deadline_seconds=5)
        erasing = Erasing(self.state, self.ledger, self.outbox, self.reports)
        exporting = Exporting(self.state, self.ledger, self.outbox, self.policies, self.reports)
        return InterventionServicer(
            self.deciding, self.reading, analyses, models, copywriter, erasing, exporting, self.live, Metrics()
        )

    async def deliver(self, first: int, records: Sequence[Sequence[Row]]) -> list[Created]:
        """Decides a batch."""
        return (await self.come(first, records)).made

    async def come(self, first: int, records: Sequence[Sequence[Row]]) -> BatchResult:
        """Decides a batch, and returns the whole result."""
        return await self.deciding.decide(*batch(first, records))

    async def send(self, *rows: Row) -> list[Created]:
        """Decides one more record; the clock follows its last event."""
        self.sequence += 1
        self.clock.now_us = rows[-1].at_us
        return await self.deliver(self.sequence, [rows])

    async def judge(self, *rows: Row) -> BatchResult:
        """Decides one more record, each user once, and returns the whole result."""
        self.sequence += 1
        self.clock.now_us = rows[-1].at_us
        return await self.deciding.decide(*judged(self.sequence, [rows]))

    async def link(self, anonymous_id: str, user_id: str, at_us: int) -> None:
        """An anonymous user turns out to be a known one: at the same moment, in as many records."""
        standing = await self.leave(anonymous_id, user_id, at_us)
        await self.send(arrival(user_id, at_us, standing))

    async def leave(self, anonymous_id: str, user_id: str, at_us: int) -> bytes:
        """The end of an anonymous journey; what moves."""
        self.sequence += 1
        self.clock.now_us = at_us
        row = Row(at_us=at_us, user_id=anonymous_id, time_zone="", kind=EventKind.IDENTIFY, linked=user_id)
        return (await self.come(self.sequence, [[row]])).transfers.get(0, b"")

    async def last(self, user_id: str = "ada") -> Decision:
        """The last decision on a user."""
        return (await self.reading.decisions_of_user(user_id, 1))[0]


def documents(of_mesh: str, **of_tenants: str) -> Callable[[], Awaitable[Documents]]:
    """Reads documents of policies; without any of tenants, theirs are not looked at."""

    async def read() -> Documents:
        return Documents(of_mesh, of_tenants or None)

    return read
