"""Help and its outcomes as an archive holds them, made without a mesh; users have no history."""

import functools
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from journeymesh.common.v1 import event_pb2

from mesh.state.applied import derived_id
from offline.decisions.archived import Record
from offline.decisions.what_if import _decision_rows, _packed
from services.ingest.archive.adapters.event_rows import Archived
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import Plan, hours_of
from services.intervention.decision.domain.decision import Exceptional, derive
from services.intervention.decision.domain.facts import LEVEL_NAMES, Assessment, Indicator
from services.intervention.decision.domain.ledger import Block, facts_at
from services.intervention.decision.domain.offer import UNKNOWN
from services.intervention.policy.domain.policy import Policy
from tests.archive.rows import EventRow, records
from tests.builders import NOW_US, event

SHARD: Final = "0"
_SCORES: Final = {"low": 10.0, "medium": 50.0, "high": 80.0, "critical": 95.0}
_INDICATORS: Final = {"technical": ("error_count",), "orientation": ("quick_backs",), "any": ()}


@functools.cache
def assessment(level: str, difficulty: str) -> Assessment:
    """What scoring says of a context."""
    indicators = tuple(Indicator(name, 9.0, "it is so") for name in _INDICATORS[difficulty])
    return Assessment(_SCORES[level], LEVEL_NAMES.index(level), 0.9, 1.0, 2.0, 0, indicators)


def block_of(policy: Policy, sequence: int, of: event_pb2.Event, seen: Assessment) -> Block:
    """The decision on an event, as the ledger keeps it."""
    plain = Block(
        policy_version=policy.version,
        model_version="model-1",
        rules_version="rules-1",
        event_indexes=[0],
        user_ids=[of.user_id],
        event_ids=[of.event_id],
        received_us=[of.received_time_us],
        trace_ids=[b""],
        pages=[of.page],
        assessments=[seen],
        bot_rows=[],
        exceptional={},
    )
    if of.HasField("outcome"):
        return plain
    verdict = derive(policy, facts_at(plain, SHARD, sequence, 0), UNKNOWN, derived_id("i", SHARD, sequence, 0))
    return msgspec.structs.replace(plain, exceptional={0: Exceptional("", None, UNKNOWN, verdict)})


class Log:
    """A stream of events, each decided by one policy."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.assessments: list[Assessment] = []
        self.blocks: list[Block] = []
        self._events: list[event_pb2.Event] = []

    def help(self, user_id: str, level: str, difficulty: str, at_us: int = NOW_US) -> str:
        """Decides on a user in a context; the id of the intervention, empty where none was made."""
        block = self._add(user_id, "page_view", at_us, assessment(level, difficulty), {})
        verdict = block.exceptional[0].verdict
        return verdict.intervention.id if verdict.intervention else ""

    def report(self, user_id: str, intervention_id: str, outcome: str, at_us: int = NOW_US) -> None:
        """An outcome, as a client reports it."""
        reported = {"intervention_id": intervention_id, "outcome": f"OUTCOME_{outcome.upper()}"}
        self._add(user_id, "intervention_outcome", at_us, assessment("low", "any"), {"outcome": reported})

    def see(self, user_id: str, kind: str, at_us: int, **members: object) -> None:
        """Something else a user does, at low risk."""
        self._add(user_id, kind, at_us, assessment("low", "any"), members)

    def records(self) -> list[Record]:
        """The stream as `archived.records` gives it, an event a record."""
        plain = [
            Record(SHARD, number, {0: Archived(SHARD, number, 0, each, is_set_aside=False)}, {}, 0)
            for number, each in enumerate(self._events)
        ]
        packed = _packed(plain, dict(enumerate(self.blocks)), self.policy)
        return [each._replace(decisions={0: packed[each.sequence, 0]}) for each in plain]

    async def write(self, into: ParquetArchive) -> None:
        """Archives the stream."""
        rows = records([EventRow(number, 0, each) for number, each in enumerate(self._events)])
        decisions = [
            row for each in self.records() for row in _decision_rows(each, self.blocks[each.sequence], self.policy)
        ]
        part = await into.pack(SHARD, rows, decisions)
        hours = hours_of(each.received_time_us for each in self._events)
        await into.write(SHARD, Plan(-1, len(rows) - 1), hours, [part])

    def _add(self, user_id: str, kind: str, at_us: int, seen: Assessment, members: Mapping[str, Any]) -> Block:
        fields: dict[str, Any] = {"event_time_us": at_us, "received_time_us": at_us, **members}
        made = event(f"e-{len(self._events)}", user_id, kind, **fields)
        self.assessments.append(seen)
        self.blocks.append(block_of(self.policy, len(self._events), made, seen))
        self._events.append(made)
        return self.blocks[-1]
