"""What rows of a block have in common stands once, and nothing is lost."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intervention.decision.domain import ledger
from services.intervention.decision.domain.decision import Exceptional, Verdict
from services.intervention.decision.domain.eligibility import Reason
from services.intervention.decision.domain.facts import Assessment, Indicator, Outcome, OutcomeReport
from services.intervention.decision.domain.folding import NO_ROWS
from services.intervention.decision.domain.ledger import Block
from services.intervention.decision.domain.offer import Offer, Standing
from services.intervention.decision.ports import Reference
from tests.intervention.builders import MINUTE, NOON_ISH, Row, World
from tests.intervention.test_before import read_before

OFFER = Offer("i", "chat", True, 1, 2, Outcome.ACCEPTED)
STANDINGS = st.sampled_from([Standing(), Standing((OFFER,)), Standing(bought={"EUR": 9.0})])
INDICATORS = st.lists(
    st.builds(
        Indicator,
        st.sampled_from(["rage", "form_errors"]),
        st.sampled_from([1.5, -2.0]),
        st.sampled_from(["x", "y", ""]),
    ),
    max_size=3,
).map(tuple)
ASSESSMENTS = st.builds(
    lambda score, indicators, latest_us, told: Assessment(score, 4, 0.5, 1.0, 2.0, 3, indicators, latest_us, told),
    st.sampled_from([80.0, 90.5]),
    INDICATORS,
    st.integers(0, 9),
    st.none() | st.floats(0.0, 1.0),
)
ROWS = st.builds(
    Exceptional,
    time_zone=st.sampled_from(["", "Asia/Tokyo"]),
    outcome=st.sampled_from([None, None, OutcomeReport("i", Outcome.ACCEPTED, "chat")]),
    standing=STANDINGS,
    verdict=st.lists(st.sampled_from(Reason), min_size=1, max_size=3).map(
        lambda reasons: Verdict(tuple(reasons), "So it is.", None)
    ),
    kind=st.integers(0, 18),
    target=st.sampled_from(["", "pay"]),
    features=st.sampled_from([(), (1.0, 2.0), (0.25, 3.0, 1e18)]),
    is_settled=st.booleans(),
)


def block(assessments: list[Assessment], exceptional: dict[int, Exceptional]) -> Block:
    count = len(assessments)
    names = [""] * count
    return Block(
        "p", "m", "r", [0] * count, names, names, [1] * count, [b""] * count, names, assessments, [], exceptional
    )


def sentenceless(of: Exceptional) -> Exceptional:
    return msgspec.structs.replace(of, verdict=msgspec.structs.replace(of.verdict, explanation=""))


@given(st.lists(st.tuples(ASSESSMENTS, ROWS | st.none()), min_size=1, max_size=12))
def test_a_block_is_read_as_it_was_but_for_sentences_that_derive(
    drawn: list[tuple[Assessment, Exceptional | None]],
) -> None:
    written = block([each for each, _ in drawn], {at: row for at, (_, row) in enumerate(drawn) if row})
    blob = ledger.encode(written)
    read = ledger.decode(blob)
    assert read.assessments == written.assessments
    assert {row: sentenceless(each) for row, each in read.exceptional.items()} == {
        row: sentenceless(each) for row, each in written.exceptional.items()
    }
    for each in read.exceptional.values():
        assert each.verdict.explanation or each.outcome is None
    assert (read.texts, read.indicators, read.rows, read.unabridged) == (b"", {}, NO_ROWS, {})
    before = read_before(blob)
    assert before.keys() == written.exceptional.keys(), "the version before reads it"
    assert all(
        len(each.verdict.reasons) == len(written.exceptional[row].verdict.reasons) for row, each in before.items()
    )


NAMES = [f"indicator_{number}" for number in range(8)]


def in_trouble(number: int, label: str) -> Row:
    """One of 500 events of 60 users, each of whom has reasons of an own."""
    return Row(
        user_id=f"user-{number % 60}",
        score=92.0 + number % 7,
        strong=5,
        indicators=tuple(f"{name} on {label} {number % 60}"[:110] for name in NAMES),
        at_us=NOON_ISH + number,
        trace=number + 1,
        page="/products/3",
        features=(3.0, 0.0, 12.5 + number % 60, 1.0, 0.0, 2.0, 64.0, 0.0, 50.25, 7.0, 1.0, 3.0, 15.5),
    )


LABELS: dict[str, Callable[[], str]] = {
    "plain": lambda: "checkout button " * 4,
    "of four bytes a letter": lambda: "\U0001d518" * 75,
}


@pytest.mark.parametrize("label", LABELS.values(), ids=LABELS.keys())
async def test_a_row_of_a_user_in_trouble_takes_at_most_three_times_a_calm_one(label: Callable[[], str]) -> None:
    world, indicators = World(), label()
    calm = [Row(user_id=f"user-{n % 60}", at_us=NOON_ISH + n, trace=n + 1, page="/products/3") for n in range(500)]
    troubled = [in_trouble(number, indicators) for number in range(500)]
    await world.deliver(1, [calm, troubled, troubled])
    sizes = [len(blob or b"") for blob in await world.ledger.blocks([Reference("3", number) for number in (1, 2, 3)])]
    assert sizes[2] < 3 * sizes[0]


async def test_the_sentence_of_a_folded_row_derives() -> None:
    world = World()
    rows = [
        Row(score=95.0, strong=5, indicators=("form_errors",), at_us=NOON_ISH + n * MINUTE // 10, trace=n + 1)
        for n in range(6)
    ]
    await world.deliver(1, [rows])
    alone = World()
    for number, row in enumerate(rows):
        await alone.deliver(number + 1, [[row]])
    whole = [each.verdict.explanation for each in await world.reading.decisions_of_user("ada", 10)]
    assert whole == [each.verdict.explanation for each in await alone.reading.decisions_of_user("ada", 10)]
    assert len(set(whole)) > 1
