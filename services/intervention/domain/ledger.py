"""The decision as a value that can be derived again from its inputs, and the block of decisions of one record."""

from collections.abc import Sequence
from typing import Final

import msgspec

from services.intervention.domain import eligibility, office, pending, strategy
from services.intervention.domain.eligibility import FOR_HELP, UNKNOWN, URGENT, Reason, Standing
from services.intervention.domain.facts import Assessment, Facts, OutcomeReport, Position
from services.intervention.domain.message import VERSION as MESSAGES_VERSION
from services.intervention.domain.pending import Helped
from services.intervention.domain.policy import POLICY, Policy
from services.intervention.domain.strategy import LEVEL_NAMES, Intervention


class Verdict(msgspec.Struct, frozen=True, array_like=True):
    """What came out: the reasons, deciding reason first, the same in a sentence, and the help, if any."""

    reasons: tuple[Reason, ...]
    explanation: str
    intervention: Intervention | None


class Decision(msgspec.Struct, frozen=True):
    """What was known (`facts`, `standing`, `policy`) and what was done. The first derives the second."""

    facts: Facts
    standing: Standing
    policy: Policy
    verdict: Verdict
    policy_version: str
    # The policy is deterministic.
    propensity: float = 1.0


def derive(policy: Policy, facts: Facts, standing: Standing, intervention_id: str) -> Verdict:
    """Decides. The same inputs give the same verdict, byte for byte."""
    reasons = eligibility.judge(policy, facts, standing)
    help_ = None
    if reasons[0] in FOR_HELP:
        make = strategy.urgent_help if reasons[0] in URGENT else strategy.gentle_help
        help_ = make(policy, facts, standing, intervention_id)
    return Verdict(reasons, _explain(policy, facts, standing, reasons, help_), help_)


class Exceptional(msgspec.Struct, frozen=True, array_like=True):
    """A row that was decided with more than its columns: what was looked at, and the verdict."""

    time_zone: str
    outcome: OutcomeReport | None
    standing: Standing
    verdict: Verdict


def decide(policy: Policy, facts: Facts, helped: Helped, intervention_id: str) -> tuple[Exceptional | None, Helped]:
    """Decides one event: what is to be kept of it beside its columns, if anything, and the user afterwards."""
    standing = pending.standing(helped)
    if standing == UNKNOWN and facts.outcome is None and not eligibility.urgent_reasons(policy, facts.assessment):
        return None, helped
    verdict = derive(policy, facts, standing, intervention_id)
    after = helped
    if facts.outcome is not None:
        after = pending.reported(policy, helped, facts.outcome, facts.received_us)
    elif verdict.intervention is not None:
        is_urgent = verdict.reasons[0] in URGENT
        after = pending.offered(policy, helped, verdict.intervention, facts.received_us, is_urgent=is_urgent)
    return Exceptional(facts.time_zone, facts.outcome, standing, verdict), after


class Block(msgspec.Struct, frozen=True, array_like=True):
    """The decisions of one record, column by column, one row an event.

    A row that is not among the exceptional was decided by its columns and the policy alone, so that its verdict need
    not be kept: deriving it on reading gives the same. `bot_rows` and the keys of `exceptional` are rows of this block.
    """

    policy: Policy
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


class Record(msgspec.Struct, frozen=True, array_like=True):
    """An intervention that was made, and for whom."""

    user_id: str
    intervention: Intervention


POLICY_VERSION: Final = f"{POLICY.version}+{MESSAGES_VERSION}"

_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Block).decode
_DECODE_RECORD: Final = msgspec.msgpack.Decoder(Record).decode


def encode(value: Block | Record) -> bytes:
    """A block or record as bytes; the same gives the same bytes."""
    return _ENCODE(value)


def decode(blob: bytes) -> Block:
    """The block from bytes."""
    return _DECODE(blob)


def decode_record(blob: bytes) -> Record:
    """The record from bytes."""
    return _DECODE_RECORD(blob)


def facts_at(block: Block, shard: str, sequence: int, row: int) -> Facts:
    """What was known of the event of a row."""
    exception = block.exceptional.get(row)
    return Facts(
        position=Position(shard, sequence, block.event_indexes[row]),
        user_id=block.user_ids[row],
        event_id=block.event_ids[row],
        received_us=block.received_us[row],
        trace_id=block.trace_ids[row],
        page=block.pages[row],
        time_zone=exception.time_zone if exception else "",
        is_bot=row in block.bot_rows,
        outcome=exception.outcome if exception else None,
        assessment=block.assessments[row],
        model_version=block.model_version,
        rules_version=block.rules_version,
    )


def decision_at(block: Block, shard: str, sequence: int, row: int) -> Decision:
    """The decision of a row."""
    facts = facts_at(block, shard, sequence, row)
    exception = block.exceptional.get(row)
    standing = exception.standing if exception else UNKNOWN
    verdict = exception.verdict if exception else derive(block.policy, facts, UNKNOWN, "")
    return Decision(facts, standing, block.policy, verdict, block.policy_version)


def plain_reason(block: Block, row: int) -> Reason:
    """The reason of a row that is not among the exceptional: it has one, and leads to no help."""
    return Reason.BOT if row in block.bot_rows else Reason.BELOW_TRIGGER


def _explain(
    policy: Policy, facts: Facts, standing: Standing, reasons: tuple[Reason, ...], help_: Intervention | None
) -> str:
    sentences = [
        _sentence(policy, facts, standing, reason, is_urgent=bool(URGENT & set(reasons))) for reason in reasons
    ]
    if help_ is not None:
        likely = f"{help_.success_probability:.0%} likely to be accepted"
        sentences.append(f"Help goes by {help_.channel} with {help_.priority} priority, {likely}.")
    return " ".join(sentences)


def _sentence(  # noqa: PLR0911 - one sentence a reason
    policy: Policy, facts: Facts, standing: Standing, reason: Reason, *, is_urgent: bool
) -> str:
    assessment = facts.assessment
    risk = f"{assessment.score:.1f} ({LEVEL_NAMES[assessment.level]})"
    count, least_count = assessment.strong_signal_count, policy.trigger_signal_count
    trigger = f"the trigger of {policy.trigger_score:g}"
    strong = f"of strength {policy.strong_signal_strength:g} or more"
    match reason:
        case Reason.RISK_AT_TRIGGER:
            return f"The risk of {risk} has reached {trigger}."
        case Reason.SIGNALS_AT_TRIGGER:
            return f"{count} signals {strong} have reached the trigger of {least_count}."
        case Reason.BELOW_TRIGGER:
            return f"The risk of {risk} is below {trigger}, and {count} signals {strong} are fewer than {least_count}."
        case Reason.COOLDOWN:
            until_us = eligibility.cooled_down_us(policy, standing, is_urgent=is_urgent)
            left = (until_us - facts.received_us) / 60e6
            return f"The user was helped a short while ago; the cooldown lasts another {left:.1f} minutes."
        case Reason.ALREADY_PENDING:
            until = office.local_time(standing.waiting_until_us, "UTC").isoformat(timespec="seconds")
            return f"An earlier intervention still waits, until {until}."
        case Reason.BOT:
            return "The event looks like a script's doing."
        case Reason.OUTCOME_EVENT:
            return "The event is itself an outcome; it is recorded, not answered."
        case Reason.RESPONSIVE_USER:
            return f"The risk of {risk} is medium, and the user, who has a difficulty, has welcomed help before."
