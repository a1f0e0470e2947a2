"""The ledger's words: a decision with all that went into it, and the block of decisions of one record."""

import bisect
from collections.abc import Collection, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from services.intervention.decision.domain import folding
from services.intervention.decision.domain.decision import Exceptional, Verdict, derive
from services.intervention.decision.domain.eligibility import Reason
from services.intervention.decision.domain.facts import Assessment, EventPosition, Facts, Outcome, OutcomeReport
from services.intervention.decision.domain.folding import NO_ROWS, FoldedIndicators, FoldedRows
from services.intervention.decision.domain.offer import UNKNOWN, Standing
from services.intervention.decision.domain.strategy import Intervention
from services.intervention.policy.domain.policy import Policy

_KNOWN_BEFORE: Final = Reason.ESCALATED
"""The last reason that the previous version knows."""


_ERASED: Final = "The user was erased."
_Cell = TypeVar("_Cell")


class Decision(msgspec.Struct, frozen=True):
    """What was known (`facts`, `standing`, and the policy by its version), and the verdict that follows from it."""

    facts: Facts
    standing: Standing
    verdict: Verdict
    policy_version: str


class Block(msgspec.Struct, frozen=True, array_like=True):
    """The decisions of one record, column by column, one row per decision.

    A row without an entry in `exceptional` was decided by its columns and the policy alone. Its verdict is not kept:
    deriving it on reading gives the same. `bot_rows`, `copied_rows`, `system_rows` and the keys of `exceptional` and
    `ages_us` are rows of this block. `ages_us` has the age of each exceptional row and of each that was too old.
    `unabridged`, `texts`, `indicators` and `rows` are filled only in the encoded form, see `encode`.

    `covered_indexes` are the events of the record that led to its decisions, ascending; `covered_rows` has the row of
    the decision of each. Both are empty if each decision covers only the event it is about. `other_traces` has, by row,
    the traces of covered events, except that of the event the decision is about. `other_models` has, by row, the model
    that assessed it, if that is not `model_version`. `model_outcomes` has, by version, what a model tells the
    probability of, in words, if that is known.
    """

    policy_version: str
    model_version: str
    rules_version: str
    event_indexes: Sequence[int]
    user_ids: Sequence[str]
    event_ids: Sequence[str]
    received_us: Sequence[int]
    trace_ids: Sequence[bytes]
    pages: Sequence[str]
    assessments: Sequence[Assessment]
    bot_rows: Sequence[int]
    exceptional: dict[int, Exceptional]
    feature_names: tuple[str, ...] = ()
    feature_schema_version: str = ""
    copied_rows: Sequence[int] = ()
    system_rows: Sequence[int] = ()
    ages_us: Mapping[int, int] = {}
    unabridged: dict[int, Exceptional] = {}
    texts: bytes = b""
    indicators: dict[int, int | FoldedIndicators] = {}
    rows: FoldedRows = NO_ROWS
    covered_indexes: Sequence[int] = ()
    covered_rows: Sequence[int] = ()
    other_traces: Mapping[int, tuple[bytes, ...]] = {}
    other_models: Mapping[int, str] = {}
    model_outcomes: Mapping[str, str] = {}


class Inputs(msgspec.Struct, frozen=True, array_like=True):
    """The inputs of a decision beyond its readable fields: with both, it can be derived again."""

    time_zone: str
    is_bot: bool
    outcome: OutcomeReport | None
    standing: Standing
    kind: int = 0
    age_us: int = 0
    is_system: bool = False
    is_settled: bool = False
    latest_signal_time_us: int = 0


class KeptIntervention(msgspec.Struct, frozen=True, array_like=True):
    """An intervention that was made, its user, and the trace of the event that led to it (empty in old ones)."""

    user_id: str
    intervention: Intervention
    trace_id: bytes = b""


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Block).decode
_DECODE_INPUTS: Final = msgspec.msgpack.Decoder(Inputs).decode


def encode(value: Block | Inputs) -> bytes:
    """A block or inputs as bytes; the same value gives the same bytes.

    What rows of a block have in common is written once, after the columns that the previous version knows: texts, the
    indicators of unchanged assessments, and the standings and features of rows that say little. A replica of that
    version reads the block without them. It would refuse a whole block for one reason or outcome it does not know. So
    an exceptional row with such a word is written twice: first in words that version knows, then in full.
    """
    return _ENCODE(_written(value) if isinstance(value, Block) else value)


def decode(blob: bytes) -> Block:
    """The block from bytes. A folded row has no sentence: `decision_at` derives it."""
    block = _DECODE(blob)
    if not (block.unabridged or block.texts):
        return block
    texts = folding.unpack(block.texts)
    return msgspec.structs.replace(
        block,
        assessments=folding.unfold_indicators(block.assessments, block.indicators, texts),
        exceptional={**block.exceptional, **block.unabridged, **folding.unfold_rows(block.rows, texts)},
        unabridged={},
        texts=b"",
        indicators={},
        rows=NO_ROWS,
    )


def _written(block: Block) -> Block:
    texts: dict[str, int] = {}
    if any(each.indicators for each in block.assessments):
        assessments, indicators = folding.fold_indicators(block.assessments, texts)
        block = msgspec.structs.replace(block, assessments=assessments, indicators=indicators)
    if len(block.exceptional) > folding.FEW_ROWS:
        rows = folding.fold_rows(block.exceptional, texts)
        short = {row: _in_short(block.exceptional[row], has_sentence=False) for row in rows.folded}
        block = msgspec.structs.replace(block, exceptional={**block.exceptional, **short}, rows=rows)
    newer = {row: each for row, each in block.exceptional.items() if _has_newer_words(each)}
    if newer:
        short = {row: _in_short(each) for row, each in newer.items()}
        block = msgspec.structs.replace(block, exceptional={**block.exceptional, **short}, unabridged=newer)
    return msgspec.structs.replace(block, texts=folding.pack(texts)) if texts else block


def _has_newer_words(of: Exceptional) -> bool:
    refusals = (each.refusal for each in of.verdict.candidates if each.refusal is not None)
    if max(*of.verdict.reasons, *refusals, 0) > _KNOWN_BEFORE:
        return True
    return any(each.outcome is Outcome.WITHDRAWN for each in of.standing.offers)


def _in_short(of: Exceptional, *, has_sentence: bool = True) -> Exceptional:
    """A row in words that the previous version knows: its reasons, the help and, if wanted, its sentence."""
    known = tuple(each if each <= _KNOWN_BEFORE else Reason.NOT_ELIGIBLE for each in of.verdict.reasons)
    verdict = Verdict(known, of.verdict.explanation if has_sentence else "", of.verdict.intervention)
    return Exceptional(of.time_zone if has_sentence else "", of.outcome, UNKNOWN, verdict)


def interventions_of(block: Block, rows: Collection[int]) -> list[str]:
    """The interventions that the decisions of rows made."""
    made = (block.exceptional[row].verdict.intervention for row in rows if row in block.exceptional)
    return [each.id for each in made if each is not None]


def pseudonymised(block: Block, rows: Collection[int], pseudonym: str) -> Block:
    """The block with a pseudonym in the place of the user of these rows, and without what tells of the user.

    Of their events the ids, traces and pages go; of what was known of them the history, the features and what they
    bought. What was decided, why, and what was chosen among stays.
    """
    return msgspec.structs.replace(
        block,
        user_ids=_with(block.user_ids, rows, pseudonym),
        event_ids=_with(block.event_ids, rows, ""),
        trace_ids=_with(block.trace_ids, rows, b""),
        pages=_with(block.pages, rows, ""),
        exceptional={row: _erased(each) if row in rows else each for row, each in block.exceptional.items()},
        other_traces={row: each for row, each in block.other_traces.items() if row not in rows},
    )


def _with(column: Sequence[_Cell], rows: Collection[int], cell: _Cell) -> list[_Cell]:
    return [cell if row in rows else each for row, each in enumerate(column)]


def _erased(of: Exceptional) -> Exceptional:
    """The verdict alone. It has a sentence, so that it is not derived again from what is no longer known."""
    verdict = msgspec.structs.replace(
        of.verdict,
        explanation=_ERASED,
        intervention=_without_products(of.verdict.intervention),
        withheld=_without_products(of.verdict.withheld),
    )
    return Exceptional("", of.outcome, UNKNOWN, verdict)


def _without_products(help_: Intervention | None) -> Intervention | None:
    return msgspec.structs.replace(help_, products=()) if help_ is not None and help_.products else help_


def inputs_of(decision: Decision) -> bytes:
    """The inputs of a decision, as bytes."""
    facts = decision.facts
    return encode(
        Inputs(
            facts.time_zone,
            facts.is_bot,
            facts.outcome,
            decision.standing,
            facts.kind,
            facts.age_us,
            facts.is_system,
            facts.is_settled,
            facts.assessment.latest_signal_time_us,
        )
    )


def decode_inputs(blob: bytes) -> Inputs:
    """The inputs from bytes."""
    return _DECODE_INPUTS(blob)


def row_of(block: Block, event_index: int) -> int | None:
    """The row of the decision that an event of the record led to; None if it led to none."""
    indexes = block.covered_indexes or block.event_indexes
    place = bisect.bisect_left(indexes, event_index)
    if place == len(indexes) or indexes[place] != event_index:
        return None
    return block.covered_rows[place] if block.covered_indexes else place


def rows_of_trace(block: Block, trace_id: bytes) -> list[int]:
    """The rows of the decisions that events of a trace led to, ascending."""
    others = block.other_traces
    return [row for row, each in enumerate(block.trace_ids) if each == trace_id or trace_id in others.get(row, ())]


def facts_at(block: Block, shard: str, sequence: int, row: int) -> Facts:
    """What was known of the event that the decision of a row is about."""
    exception = block.exceptional.get(row)
    model_version = block.other_models.get(row, block.model_version)
    return Facts(
        position=EventPosition(shard, sequence, block.event_indexes[row]),
        user_id=block.user_ids[row],
        event_id=block.event_ids[row],
        received_us=block.received_us[row],
        trace_id=block.trace_ids[row],
        page=block.pages[row],
        time_zone=exception.time_zone if exception else "",
        is_bot=row in block.bot_rows,
        outcome=exception.outcome if exception else None,
        assessment=block.assessments[row],
        model_version=model_version,
        rules_version=block.rules_version,
        kind=exception.kind if exception else 0,
        target=exception.target if exception else "",
        bought=exception.bought if exception else None,
        features=exception.features if exception else (),
        feature_names=block.feature_names,
        feature_schema_version=block.feature_schema_version,
        age_us=block.ages_us.get(row, 0),
        is_copy=row in block.copied_rows,
        is_system=row in block.system_rows,
        is_settled=exception.is_settled if exception else False,
        model_outcome=block.model_outcomes.get(model_version, ""),
    )


def decision_at(policy: Policy, block: Block, shard: str, sequence: int, row: int) -> Decision:
    """The decision of a row, by the policy of the block."""
    facts = facts_at(block, shard, sequence, row)
    exception = block.exceptional.get(row)
    standing = exception.standing if exception else UNKNOWN
    has_sentence = exception is not None and exception.verdict.explanation
    verdict = exception.verdict if exception and has_sentence else derive(policy, facts, standing, "")
    return Decision(facts, standing, verdict, block.policy_version)


def is_whole(verdict: Verdict) -> bool:
    """Whether a verdict is more than its deciding reason."""
    return bool(verdict.candidates or verdict.arm) or len(verdict.reasons) > 1 or verdict.withdrawn is not None


def plain_reasons(policy: Policy, block: Block) -> list[Reason]:
    """For each row its single reason, which leads to no help; it holds unless the row is exceptional."""
    old = [row for row, age_us in block.ages_us.items() if age_us > policy.freshness_us]
    aside = unanswered_rows(old, block.system_rows, block.bot_rows, block.copied_rows)
    reasons = [Reason.BELOW_TRIGGER] * len(block.event_indexes)
    for row, reason in aside.items():
        reasons[row] = reason
    return reasons


def unanswered_rows(
    old: Collection[int], system: Collection[int], bots: Collection[int], copied: Collection[int]
) -> dict[int, Reason]:
    """The rows that bring no help whatever the risk, with the reason that `eligibility.unanswered` gives."""
    return {
        **dict.fromkeys(old, Reason.TOO_OLD),
        **dict.fromkeys(system, Reason.SYSTEM_EVENT),
        **dict.fromkeys(bots, Reason.BOT),
        **dict.fromkeys(copied, Reason.COPIED_EVENT),
    }
