"""The report says where the mesh loses, and loads nothing."""

import re

import pytest

from bench.harness import plots, report
from bench.harness.report import Bounded, Found, Ratio, Table

SPEED = Ratio("events/s", 0.9, 2.5)
COST = Ratio("CPU per event", 0.7, 0.4, more_is_better=False)
GOOD = Ratio("one event per request", 2.1, 2.0)
STATE = Bounded("state of a user", 5_679, "bytes", 4_000)


@pytest.mark.parametrize(
    ("claim", "loses", "misses"),
    [
        (SPEED, True, True),
        (COST, False, True),
        (GOOD, False, False),
        (Ratio("CPU", 1.1, more_is_better=False), True, False),
        (Ratio("level", 1.0), False, False),
        (STATE, False, True),
        (Bounded("p50", 1.9, "ms", 2), False, False),
        (Bounded("growth", 0.7, "x", 0.8, more_is_better=True), False, True),
    ],
)
def test_a_claim_knows_whether_it_holds(claim: report.Claim, loses: bool, misses: bool) -> None:  # noqa: FBT001
    assert (claim.loses, claim.misses) == (loses, misses)


def test_losses_come_first() -> None:
    assert report.verdict([GOOD, COST, STATE, SPEED]) == [
        "**we lose**: events/s: 0.90 x (wanted ≥ 2.5)",
        "**falls short**: CPU per event: 0.70 x (wanted ≤ 0.4)",
        "**falls short**: state of a user: 5,679 bytes (wanted ≤ 4,000)",
        "one event per request: 2.10 x (wanted ≥ 2)",
    ]


def sections() -> list[Found]:
    drawn = [
        plots.bars("speed", ["a", "b"], {"mesh": [1, 2], "afternoon": [2, 3]}),
        plots.stacks("CPU", {"mesh": {"ingest": 50, "store": 20}, "afternoon": {"store": 30}}),
        plots.shares("latencies", {"mesh": [1, 10, 100], "nobody": []}),
        plots.lines("growth", [1_000, 10_000], {"taken": [7_000, 6_900]}),
    ]
    table = Table("figures", ("side", "taken/s"), [["mesh", "<b>7,000"]])
    return [Found("The chain", "About it.", [table], drawn, [SPEED]), Found("Cluster", "", skipped="not there")]


def test_the_page_is_whole_in_itself() -> None:
    page = report.page(["2 cores"], sections())
    assert page.count("<svg") == page.count("</svg>") == 4
    assert "&lt;b&gt;7,000" in page
    assert "<b>we lose</b>: events/s" in page
    assert "Skipped: not there" in page
    assert not re.search(r"<(script|link|img)|(src|href)=\"(?!#)", page.replace('xlink:href="#', 'href="#'))


def test_markdown_has_every_table_and_every_reason() -> None:
    text = report.markdown(["2 cores"], sections())
    assert "| side | taken/s |\n| --- | --- |\n| mesh | <b>7,000 |" in text
    assert "- **we lose**: events/s: 0.90 x (wanted ≥ 2.5)" in text
    assert "Skipped: not there" in text
    assert "<svg" not in text
