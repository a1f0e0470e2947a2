"""A replica of the version before reads what this one has written while both run."""

from typing import Annotated, Any

import msgspec
import pytest

from services.intervention.decision.domain import ledger
from services.intervention.decision.domain.decision import Exceptional, Verdict
from services.intervention.decision.domain.eligibility import Reason
from services.intervention.decision.domain.facts import Assessment, Outcome
from services.intervention.decision.domain.ledger import Block
from services.intervention.decision.domain.offer import UNKNOWN, Offer, Standing, WithdrawalReason, Withdrawn
from services.intervention.decision.domain.strategy import Candidate

ReasonBefore = Annotated[int, msgspec.Meta(ge=1, le=17)]
OutcomeBefore = Annotated[int, msgspec.Meta(ge=0, le=5)]


class OfferBefore(msgspec.Struct, frozen=True, array_like=True):
    """An offer, as far as it was read."""

    id: str
    channel: str
    is_urgent: bool
    made_us: int
    expires_us: int
    outcome: OutcomeBefore


class StandingBefore(msgspec.Struct, frozen=True, array_like=True):
    """Of a user, the offers."""

    offers: tuple[OfferBefore, ...] = ()


class CandidateBefore(msgspec.Struct, frozen=True, array_like=True):
    """The same as now."""

    action: str
    channel: str
    success_probability: float
    propensity: float
    refusal: ReasonBefore | None
    is_chosen: bool


class VerdictBefore(msgspec.Struct, frozen=True, array_like=True):
    """A verdict, as far as it was read."""

    reasons: tuple[ReasonBefore, ...]
    explanation: str
    intervention: Any
    candidates: tuple[CandidateBefore, ...] = ()


class ExceptionalBefore(msgspec.Struct, frozen=True, array_like=True):
    """A row, as far as it was read."""

    time_zone: str
    outcome: Any
    standing: StandingBefore
    verdict: VerdictBefore


class AssessmentBefore(msgspec.Struct, frozen=True, array_like=True):
    """An assessment, as the previous version reads and writes it."""

    score: float
    level: int
    confidence: float
    rule_score: float
    model_score: float
    strong_signal_count: int
    indicators: tuple[Any, ...] = ()
    latest_signal_time_us: int = 0


_EXCEPTIONAL = Block.__struct_fields__.index("exceptional")


def read_before(blob: bytes) -> dict[int, ExceptionalBefore]:
    return msgspec.convert(msgspec.msgpack.decode(blob)[_EXCEPTIONAL], dict[int, ExceptionalBefore])


def block(*rows: Exceptional) -> Block:
    count = len(rows)
    names, assessments = [""] * count, [Assessment(1, 1, 1, 1, 1, 0)] * count
    exceptional = dict(enumerate(rows))
    return Block(
        "p", "m", "r", [0] * count, names, names, [1] * count, [b""] * count, names, assessments, [], exceptional
    )


def row(*reasons: Reason, offers: tuple[Offer, ...] = (), **verdict: Any) -> Exceptional:
    return Exceptional(
        "Asia/Tokyo", None, Standing(offers), Verdict(reasons, "So it is.", None, **verdict), target="pay"
    )


BACK = Offer("i", "chat", True, 1, 2, Outcome.WITHDRAWN, withdrawal=WithdrawalReason.SOLVED)
REFUSED = Candidate("chat", "in_app", 0.5, 0.0, Reason.USER_GONE, is_chosen=False)
NEWER = {
    **{each.name: row(each, Reason.RISK_AT_TRIGGER) for each in Reason if each > Reason.ESCALATED},
    "a user of whom help was withdrawn": row(Reason.COOLDOWN, offers=(BACK,)),
    "an action that was refused": row(Reason.CHOSE_NOTHING, candidates=(REFUSED,)),
    "help that is withdrawn": row(Reason.SOLVED, withdrawn=Withdrawn("i", WithdrawalReason.SOLVED)),
}
KNOWN = row(Reason.BELOW_TRIGGER, offers=(Offer("j", "email", False, 1, 2, Outcome.ACCEPTED),))


@pytest.mark.parametrize("newer", NEWER.values(), ids=NEWER.keys())
def test_the_version_before_reads_a_block_with_words_that_it_does_not_know(newer: Exceptional) -> None:
    written = block(KNOWN, newer)
    blob = ledger.encode(written)
    known, short = read_before(blob)[0], read_before(blob)[1]
    assert known.standing.offers[0].outcome == Outcome.ACCEPTED
    assert short.verdict.explanation == "So it is."
    assert len(short.verdict.reasons) == len(newer.verdict.reasons)
    read = ledger.decode(blob)
    assert (read.exceptional, read.unabridged) == (written.exceptional, {}), "and nothing is lost"


def test_what_the_version_before_knows_is_written_once() -> None:
    written = block(KNOWN, row(*(each for each in Reason if each <= Reason.ESCALATED)))
    assert len(read_before(ledger.encode(written))[1].verdict.reasons) == 17
    assert ledger.encode(written) == msgspec.msgpack.encode(written)
    assert ledger.decode(ledger.encode(block(row(Reason.BOT, offers=())))).exceptional[0].standing == UNKNOWN


@pytest.mark.parametrize("told", [None, 0.0, 0.625])
def test_the_version_before_reads_an_assessment_and_only_forgets_what_was_told(told: float | None) -> None:
    now = Assessment(80.0, 3, 0.5, 20.0, 70.0, 1, (), 5, told)
    before = msgspec.msgpack.decode(msgspec.msgpack.encode(now), type=AssessmentBefore)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(before), type=Assessment)
    assert again == msgspec.structs.replace(now, probability=None)


def test_a_block_of_the_version_before_says_of_nothing_what_it_was_about() -> None:
    written = msgspec.structs.replace(block(KNOWN), model_outcomes={"m": "never returns"})
    *before, outcomes = msgspec.msgpack.decode(ledger.encode(written))
    assert outcomes == written.model_outcomes
    assert ledger.decode(msgspec.msgpack.encode(before)).model_outcomes == {}
