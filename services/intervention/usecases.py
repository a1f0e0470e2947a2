"""The verbs of the intervention service: fetch through ports, decide in the domain, record through ports."""

import asyncio
import dataclasses
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from mesh import applied
from mesh.applied import Batch
from mesh.errors import NotFound
from mesh.state import StateStore
from services.intervention.domain import eligibility, ledger, outcome, pending
from services.intervention.domain.facts import Assessment, Facts, Outcome, OutcomeReport, Position
from services.intervention.domain.ledger import Block, Decision, Exceptional
from services.intervention.domain.pending import Helped
from services.intervention.domain.policy import Policy
from services.intervention.domain.strategy import Intervention
from services.intervention.ports import Entry, Ledger, Listeners, Reference, Witness


@dataclasses.dataclass(frozen=True, slots=True)
class Rows:
    """A batch of assessed events, column by column. `record_indexes` never descend."""

    record_indexes: Sequence[int]
    event_indexes: Sequence[int]
    user_ids: Sequence[str]
    event_ids: Sequence[str]
    received_us: Sequence[int]
    trace_ids: Sequence[bytes]
    span_ids: Sequence[bytes]
    pages: Sequence[str]
    time_zones: Sequence[str]
    assessments: Sequence[Assessment]
    bot_rows: Sequence[int]
    outcomes: Mapping[int, OutcomeReport]
    model_version: str
    rules_version: str


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """An intervention that was made at a row."""

    row: int
    decision: Decision


@dataclasses.dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a user, None where nothing does, and the cursor of that."""

    cursor: int
    intervention: Intervention | None
