"""`journeymesh explain`, against the gateway."""

import argparse
import io
from collections.abc import AsyncIterator

import pytest
from journeymesh.common.v1 import event_pb2
from journeymesh.ingest.v1 import ingest_pb2
from journeymesh.intervention.v1 import intervention_pb2
from journeymesh.scoring.v1 import scoring_pb2
from rich.console import Console

from cli import explain, explanation
from tests.conftest import free_port
from tests.gateway.fakes import SECONDS, decision
from tests.gateway.running import Gateway, running

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """A gateway whose ledger knows one decision, and what led to it."""
    async with running() as one:
        one.services.intervention.decisions = [decision()]
        one.services.intervention.made["i-1"] = intervention_pb2.GetInterventionResponse(decision_id="d-1")
        one.services.ingest.receipts["e-1"] = ingest_pb2.Receipt(event_id="e-1", duplicate_count=2)
        kinds = (event_pb2.EVENT_TYPE_STRUGGLE_SIGNAL, event_pb2.EVENT_TYPE_PAGE_VIEW)
        one.services.features.recent = [
            event_pb2.Event(
                event_id=event_id,
                user_id="ada",
                event_type=kind,
                event_time_us=(SECONDS + second) * 1_000_000,
                page="/calculator",
                properties=b'{"free":"\\u001b[31mred"}',
            )
            for event_id, kind, second in (("e-2", kinds[1], 40), ("e-1", kinds[0], 30), ("e-0", kinds[1], 0))
        ]
        yield one


async def explained(gateway: Gateway, of: str) -> tuple[int, str]:
    """The exit code, and what is printed at 80 columns."""
    written = io.StringIO()
    console = Console(file=written, width=80, highlight=False, markup=False, soft_wrap=True)
    return await explain.explain(gateway.client, of, console), written.getvalue()


def calm(decision_id: str, score: float = 12) -> intervention_pb2.Decision:
    """A decision for nothing."""
    return intervention_pb2.Decision(
        id=decision_id,
        user_id="ada",
        event_id="e-1",
        kind=intervention_pb2.DECISION_KIND_NONE,
        reasons=[intervention_pb2.DECISION_REASON_BELOW_TRIGGER],
        explanation="The exit risk is 12, below 75.",
        assessment=scoring_pb2.Assessment(score=score, level=scoring_pb2.RISK_LEVEL_LOW),
        policy_version="policy-2+3f9a0c1d",
    )


@pytest.mark.parametrize("of", ["d-1", "i-1", TRACE, TRACE.upper()])
async def test_a_decision_is_explained_from_beginning_to_end(gateway: Gateway, of: str) -> None:
    code, printed = await explained(gateway, of)
    assert code == 0
    in_order = (
        "Help, at 2026-01-02T10:00:30Z (decision d-1)",
        "The exit risk is 78.4, at or above 75.",
        "policy policy-2+3f9a0c1d, rules rules-2, model exit-risk-3",
        "10:00:00  page_view",
        "> 10:00:30  struggle_signal",
        "It was sent 2 more times and counted once.",
        "error_count 3, success_rate 0.5",
        "Exit risk 78.4, high, confidence 0.87 (rules alone 80.0, model alone 61.5)",
        "repeated_failures       +51.2 ████████████████████ 3 failed attempts in a row",
        "success_rate             -4.1 ██ ",
        "all else ",
        "do nothing                                     0.100",
        "> show_live_chat_popup     in_app      0.41      0.900",
        "send_help_email          email       0.33 refused: frequency cap",
        "The draw was 0.734000",
        "in the treated group of experiment 2026-01",
        "The policy of arm eager decided",
        "“May we help?”",
        "The text comes from amazon.nova-micro-v1:0, prompt wording-1 (9f9f9f9f9f9f):",
        "412 + 38 tokens, $0.000020.",
        "email    sent by ses, tries: 2",
        "shown",
    )
    places = [printed.find(each) for each in in_order]
    assert -1 not in places, in_order[places.index(-1)]
    assert places == sorted(places)
    assert "e-2" not in printed
    assert "10:00:40" not in printed  # later events are not a cause
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 48
    assert "\x1b" not in printed


async def test_the_probability_that_was_told_is_told_with_what_it_is_about(gateway: Gateway) -> None:
    (made,) = gateway.services.intervention.decisions
    assert "Told:" not in (await explained(gateway, "d-1"))[1]
    made.assessment.probability, made.model_outcome = 0.1234, "no event for 14 days,\x1b at events"
    _, printed = await explained(gateway, "d-1")
    lines = printed.splitlines()
    (risk,) = (at for at, line in enumerate(lines) if line.startswith("Exit risk 78.4"))
    assert lines[risk + 1] == "  Told: a probability of 12.3% for “no event for 14 days,? at events”."
    made.assessment.probability, made.model_outcome = 0.0, ""
    assert "  Told: a probability of 0.0%.\n" in (await explained(gateway, "d-1"))[1]


async def test_the_segment_and_what_is_recommended_are_told(gateway: Gateway) -> None:
    beans = event_pb2.RecommendedProduct(product_id="p-1", name="Beans", reason="due_again")
    cups = event_pb2.RecommendedProduct(product_id="p-2")
    (made,) = gateway.services.intervention.decisions
    made.segment, made.group = "Champions", "Group 1"
    made.segment_time.FromSeconds(SECONDS)
    made.recommended.extend([beans, cups])
    made.intervention.products.append(beans)
    _, printed = await explained(gateway, "d-1")
    assert "Segment\n  Champions, in Group 1, since 2026-01-02T10:00:00Z\n" in printed
    assert "Recommended: Beans (due again), p-2." in printed
    assert "It offers Beans (due again)." in printed
    del made.recommended[:]
    made.segment = made.group = ""
    assert "Segment" not in (await explained(gateway, "d-1"))[1]


async def test_no_help_says_why_not(gateway: Gateway) -> None:
    gateway.services.intervention.decisions = [calm("d-2")]
    code, printed = await explained(gateway, "d-2")
    assert code == 0
    for each in (
        "No help, at an unknown time (decision d-2)",
        "The exit risk is 12, below 75.",
        "No candidates were considered: below trigger.",
    ):
        assert each in printed
    assert "Message" not in printed


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (intervention_pb2.WITHDRAWAL_REASON_SOLVED, "withdrawn: the problem it was for is solved"),
        (intervention_pb2.WITHDRAWAL_REASON_SESSION_ENDED, "withdrawn: the session has ended"),
        (
            intervention_pb2.WITHDRAWAL_REASON_IDENTIFIED,
            "withdrawn: what the user did under another id rules it out",
        ),
    ],
)
async def test_a_withdrawal_is_explained_with_its_reason(
    gateway: Gateway, reason: intervention_pb2.WithdrawalReason.ValueType, sentence: str
) -> None:
    gone, then = decision(), calm("d-2")
    gone.outcome, gone.withdrawal_reason = event_pb2.OUTCOME_WITHDRAWN, reason
    then.withdrawn.intervention_id, then.withdrawn.reason = "i-1", reason
    gateway.services.intervention.decisions = [gone]
    assert sentence in " ".join((await explained(gateway, "d-1"))[1].split())
    gateway.services.intervention.decisions = [then]
    after = sentence.replace("withdrawn", "This event withdrew i-1")
    assert f"{after}." in " ".join((await explained(gateway, "d-2"))[1].split())


async def test_a_number_and_its_noun_agree(gateway: Gateway) -> None:
    gateway.services.ingest.receipts["e-1"] = ingest_pb2.Receipt(event_id="e-1", duplicate_count=1)
    assert "It was sent 1 more time and counted once." in (await explained(gateway, "d-1"))[1]
    assert explanation.listed([]).title == "no decision"


async def test_a_holdout_and_unused_generated_copy_are_explained(gateway: Gateway) -> None:
    held = decision()
    held.kind = intervention_pb2.DECISION_KIND_NONE
    held.reasons[:] = [
        intervention_pb2.DECISION_REASON_HOLDOUT,
        intervention_pb2.DECISION_REASON_RISK_AT_TRIGGER,
    ]
    held.exposure.is_treated = False
    held.ClearField("intervention")
    gateway.services.intervention.decisions = [held]
    _, printed = await explained(gateway, "d-1")
    assert "the user is in the holdout of" in printed
    assert "Also: risk at trigger." in printed

    late = decision()
    late.intervention.wording.is_used = False
    late.intervention.wording.refusal = "breaker_open"
    del late.deliveries[:]
    late.outcome = event_pb2.OUTCOME_UNSPECIFIED
    gateway.services.intervention.decisions = [late]
    _, printed = await explained(gateway, "d-1")
    assert "The text comes from the template." in printed
    assert "not used: breaker open" in " ".join(printed.split())
    assert "in the product only" in printed
    assert "nothing yet" in printed
    late.intervention.also_channels.append("email")
    gateway.services.intervention.decisions = [late]
    _, printed = await explained(gateway, "d-1")
    assert "no delivery by email is known, or it has expired" in printed
    assert "in the product only" not in printed
    late.intervention.ClearField("wording")
    assert "no model was asked" in (await explained(gateway, "d-1"))[1]


@pytest.mark.parametrize("has_help", [True, False])
async def test_a_trace_with_many_decisions_lists_them_and_explains_the_one_that_matters(
    gateway: Gateway, *, has_help: bool
) -> None:
    many = [calm(f"d-{n}", score=n) for n in range(10, 24)]
    gateway.services.intervention.decisions = [*many, decision()] if has_help else many
    code, printed = await explained(gateway, TRACE)
    assert code == 0
    assert printed.startswith(f"{15 if has_help else 14} decisions\n")
    assert f"and {5 if has_help else 4} more" in printed
    assert f"(decision {'d-1' if has_help else 'd-23'})" in printed


async def test_events_no_longer_kept_are_left_out(gateway: Gateway) -> None:
    one = decision()
    one.user_id = "nobody"
    one.event_id = "gone"
    gateway.services.intervention.decisions = [one]
    code, printed = await explained(gateway, "d-1")
    assert code == 0
    assert "> the event gone on /calculator" in printed


@pytest.mark.parametrize("of", ["d-9", "i-9", "f" * 32, "", "a/b", "\x1b[31m", "ü", "\udcff"])
async def test_an_id_that_is_not_known_is_one_clear_sentence(gateway: Gateway, of: str) -> None:
    gateway.services.intervention.decisions = []
    code, printed = await explained(gateway, of)
    assert code == 1
    assert printed.count("\n") == 1
    assert "no decision, intervention or trace" in printed
    assert "\x1b" not in printed


async def test_a_gateway_that_does_not_answer_is_one_clear_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    explain.add_arguments(parser)
    url = f"http://127.0.0.1:{free_port()}"
    code = await explain.main(parser.parse_args(["d-1", "--url", url]))
    said = capsys.readouterr().out
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith(f"journeymesh: {url} does not answer: ")
