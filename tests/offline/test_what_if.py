"""Decisions of the archive derived again, byte for byte, and what another policy or model would have done."""

import asyncio
import datetime as dt
import io
import itertools
import json
import random
import subprocess
import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import pytest
import yaml
from journeymesh.common.v1 import event_pb2
from journeymesh.intervention.v1 import intervention_pb2
from rich.console import Console

from cli import replay
from gateway.accepting.rows import Rows
from gateway.formats.native import EventSink, Stamp, read_event
from mesh.state.applied import derived_id
from offline import archive
from offline.datasets import simulator
from offline.decisions import archived, report
from offline.decisions.archived import Record, Row
from offline.decisions.deriving import Deriving, Journeys, all_by
from offline.decisions.observed import Reward
from offline.decisions.policy_value import evaluate
from offline.decisions.what_if import Alternative, Findings, Span, UnknownVersionError, WhatIf, _packed
from services.ingest.archive.adapters import decision_rows
from services.ingest.archive.adapters.event_rows import Archived
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.domain.layout import DecisionRow, Versions
from services.ingest.dispatch.translation.groups import groups_of
from services.intervention.decision.domain import ledger as pages
from services.intervention.decision.domain.decision import derive
from services.intervention.decision.domain.facts import (
    LEVEL_NAMES,
    Assessment,
    EventPosition,
    Facts,
    Indicator,
    Outcome,
    OutcomeReport,
)
from services.intervention.decision.domain.offer import UNKNOWN
from services.intervention.policy.domain import interpretation
from services.intervention.policy.domain.interpretation import policy_of
from services.intervention.policy.domain.policy import Policy
from services.intervention.translation.decisions import decision_message
from services.scoring.adapters.model_directory import load
from services.scoring.domain.schema import FEATURE_COUNT, FEATURES, SCHEMA_VERSION
from services.scoring.domain.stages import EVERYBODY
from services.scoring.ports import Card, Matrix, Model, Prediction, Served, Serving
from tests.builders import MINUTE_US, NOW_US, event
from tests.offline import archives, mesh
from tests.offline.mesh import MODELS

USERS: Final = 450
EVER: Final = Span(0, 1 << 62)
POLICIES: Final = Path(__file__).parents[2] / "policies"
# Of the users who were helped so many bought, and of the others so many.
HELPED, ALONE = 0.7, 0.2


def document(**changes: Any) -> dict[str, Any]:
    """The policy that is delivered, with other members."""
    tree: dict[str, Any] = yaml.safe_load((POLICIES / "default.yaml").read_text())
    return tree | changes


# Help and nothing are about as likely, and a tenth is held out.
LOGGING: Final = document(
    version="even",
    exploration={"temperature": 2.0, "floor": 0.1, "salt": "1"},
    holdout={"share": 0.1, "salt": "h"},
    conversion={"event": "purchase", "within": "7d"},
)
LOGGED: Final = policy_of(LOGGING)
ALWAYS: Final = policy_of(LOGGING | {"version": "always", "exploration": {"temperature": 0, "floor": 0}})
NEVER: Final = policy_of(LOGGING | {"version": "never", "trigger": {"score": 100, "strong_signals": 1000}})


def known_models() -> dict[str, Model]:
    """The models of the repository, by version."""
    return {path.parent.name: load(path.parent) for path in MODELS.glob("*/model.json")}


class Gloomy:
    """A model that sees everybody leave."""

    card = Card("gloomy", "made up", 0, SCHEMA_VERSION, "")

    def predict(self, rows: Matrix) -> Prediction:
        """See `services.scoring.ports.Model`."""
        terms = np.zeros((len(rows), FEATURE_COUNT + 1), "<f4")
        terms[:, 0] = 7.0
        return Prediction([0.999] * len(rows), terms.tobytes())


class Hopeful(Gloomy):
    """A model that sees everybody stay."""

    card = Card("hopeful", "made up", 0, SCHEMA_VERSION, "")

    def predict(self, rows: Matrix) -> Prediction:
        """See `services.scoring.ports.Model`."""
        return Prediction([0.001] * len(rows), super().predict(rows).packed_terms)


class Demanding(Gloomy):
    """A model that takes a column which nobody sends."""

    card = Card("demanding", "made up", 0, SCHEMA_VERSION, "", (*FEATURES, "own_column"))


KINDS: Final = ("page_view", "error", "error", "retry", "click")


def simulated() -> list[event_pb2.Event]:
    """Journeys of which some struggle.

    Nobody logs out, so help waits until it is answered; and who buys is drawn later.
    """
    rows = Rows()
    for each in simulator.events(USERS, seed=5):
        at = dt.datetime.fromisoformat(str(each["timestamp"]))
        stamp = Stamp(int(at.timestamp() * 1_000_000), bytes(range(16)), bytes(8))
        read_event(msgspec.json.encode(each), EventSink(rows.add, stamp, lambda: ""))
    left_out = {event_pb2.EVENT_TYPE_SESSION_END, event_pb2.EVENT_TYPE_PURCHASE}
    return [each for each in rows.table().events() if each.event_type not in left_out]


async def fill(folder: Path) -> None:
    """Archives journeys with outcomes: most users who were helped buy, few of the others."""
    draw, sent = random.Random(3), simulated()  # noqa: S311 - a story
    last_us = sent[-1].received_time_us
    async with mesh.running(folder, json.dumps(LOGGING)) as running:
        for start in range(0, len(sent), 3):
            await running.send(*sent[start : start + 3])
        await running.dispatch()
        asking = running.archiver.intervention
        for number, user_id in enumerate(sorted({each.user_id for each in sent})):
            asked = intervention_pb2.GetPendingInterventionRequest(user_id=user_id)
            answer = await asking.GetPendingIntervention(asked, timeout=5)
            times = {"event_time_us": last_us + number, "received_time_us": last_us + number}
            buys = draw.random() < (HELPED if answer.has_pending_intervention else ALONE)
            if answer.has_pending_intervention and draw.random() < 0.5:
                outcome = {"intervention_id": answer.intervention.id, "outcome": "OUTCOME_ACCEPTED"}
                accepted = event(f"o-{number}", user_id, "intervention_outcome", outcome=outcome, **times)
                await running.send(accepted)
            if buys:
                await running.send(event(f"p-{number}", user_id, "purchase", purchase={"amount": 9.0}, **times))
        await running.archive()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of more than ten thousand decisions by an exploring policy."""
    made = tmp_path_factory.mktemp("archive")
    asyncio.run(fill(made))
    return made


@pytest.fixture(scope="module")
def records(folder: Path) -> list[Record]:
    """What the archive has."""
    files = ParquetArchive(f"file://{folder}")
    return list(archived.records(files, archive.contents(files), lambda events: events))


def replayed(
    records: Sequence[Record],
    others: Alternative = Alternative(),  # noqa: B008 - a value
    window: Span = EVER,
    policies: Sequence[Policy] = (LOGGED,),
) -> Findings:
    """What a replay finds."""
    what_if = WhatIf({each.version: each for each in policies}, known_models(), others, window)
    asyncio.run(what_if.run(records))
    return what_if.findings


def test_ten_thousand_decisions_are_derived_again_with_zero_differences(records: list[Record]) -> None:
    found = replayed(records)
    assert found.event_count == sum(len(each.events) for each in records)
    assert found.compared_count == sum(len(each.decisions) for each in records) > 10_000
    assert found.different_count == found.undecided_count == found.duplicate_count == 0
    assert found.differences == []
    assert found.actions.total() > 50
    # It is not that nothing was compared: everything with a choice was reported in full.
    whole = [row for each in records for row in each.decisions.values() if row["propensity"] not in {None, 1.0}]
    assert len(whole) > 100


def alone(record: Record, index: int, row: Row) -> DecisionRow:
    """A decision derived from nothing but its event, its row and the policy."""
    event_ = record.events[index].event
    age_us = event_.received_time_us - event_.event_time_us
    inputs = (
        pages.decode_inputs(row["inputs"])
        if row["inputs"]
        else pages.Inputs("", event_.is_bot, None, UNKNOWN, event_.event_type, age_us, event_.is_system)
    )
    outcome = inputs.outcome
    if event_.HasField("outcome"):
        outcome = OutcomeReport(event_.outcome.intervention_id, Outcome(event_.outcome.outcome), "")
    facts = Facts(
        position=EventPosition(record.shard, record.sequence, index),
        user_id=row["user_id"],
        event_id=row["event_id"],
        received_us=event_.received_time_us,
        trace_id=b"",
        page=event_.page,
        time_zone=inputs.time_zone,
        is_bot=inputs.is_bot,
        outcome=outcome,
        assessment=Assessment(
            row["score"],
            LEVEL_NAMES.index(row["level"]),
            row["confidence"],
            row["rule_score"],
            row["model_score"],
            row["strong_signal_count"],
            tuple(Indicator(**each) for each in row["indicators"]),
            inputs.latest_signal_time_us,
            row["probability"],
        ),
        model_version=row["model_version"],
        rules_version=row["rules_version"],
        kind=inputs.kind,
        age_us=inputs.age_us,
        is_copy=bool(event_.copied_event_id),
        is_system=inputs.is_system,
        is_settled=inputs.is_settled,
        model_outcome=row["model_outcome"] or "",
    )
    intervention_id = derived_id("i", record.shard, record.sequence, index)
    verdict = derive(LOGGED, facts, inputs.standing, intervention_id)
    message = decision_message(pages.Decision(facts, inputs.standing, verdict, LOGGED.version))
    return DecisionRow(
        sequence=record.sequence,
        event_index=index,
        event=event_,  # type: ignore[arg-type]
        kind=message.kind,
        reasons=tuple(message.reasons),
        assessment=message.assessment,  # type: ignore[arg-type]
        versions=Versions(
            row["model_version"], row["rules_version"], row["policy_version"], row["model_outcome"] or ""
        ),
        whole=message if row["inputs"] else None,
        event_count=row["event_count"],
    )


def test_ten_thousand_decisions_are_derived_from_their_rows_with_zero_differences(records: list[Record]) -> None:
    count = 0
    for shard, its in itertools.groupby(records, key=lambda each: each.shard):
        rows = [(record, index, row) for record in its for index, row in record.decisions.items()]
        sequences = [row["sequence"] for _, _, row in rows]
        derived = decision_rows.batch(shard, sequences, [alone(*each) for each in rows]).to_pylist()
        assert derived == [row for _, _, row in rows]
        count += len(rows)
    assert count > 10_000


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("score", lambda value: value + 1e-13),
        ("explanation", lambda value: value + " "),
        ("intervention", lambda value: value[:-1] + " }"),
        ("propensity", lambda value: value - 1e-16),
        ("reasons", lambda value: value[::-1]),
    ],
)
def test_a_difference_of_a_single_bit_is_found(
    records: list[Record], column: str, change: Callable[[Any], Any]
) -> None:
    number, index, row = next(
        (number, index, row)
        for number, each in enumerate(records)
        for index, row in each.decisions.items()
        if (len(row["reasons"]) > 1 if column == "reasons" else row["intervention"])
    )
    doctored = {**records[number].decisions, index: {**row, column: change(row[column])}}
    found = replayed([*records[:number], records[number]._replace(decisions=doctored)])
    assert found.different_count == 1
    ((decision_id, columns),) = found.differences
    assert (decision_id, columns) == (row["decision_id"], [column])


@pytest.fixture(scope="module")
def always(records: list[Record]) -> Findings:
    """What a policy without chance would have done."""
    return replayed(records, Alternative(policy=ALWAYS))


def test_a_window_is_compared_and_earlier_events_are_applied(records: list[Record]) -> None:
    times = sorted(record.events[index].event.received_time_us for record in records for index in record.decisions)
    window = Span(times[len(times) // 3], times[len(times) // 2])
    found = replayed(records, Alternative(policy=NEVER), window)
    assert found.compared_count == sum(window.start_us <= each < window.stop_us for each in times)
    assert found.different_count == 0
    made = sum(row["kind"] == "intervene" for each in records for row in each.decisions.values())
    assert found.other_actions.total() == 0 < found.actions.total() < made


def test_missing_decisions_and_duplicates_are_reported(records: list[Record]) -> None:
    lost, twice = records[100]._replace(decisions={}), records[200]._replace(duplicate_count=2)
    found = replayed([*records[:100], lost, *records[101:200], twice])
    assert (found.undecided_count, found.duplicate_count, found.different_count) == (len(records[100].decisions), 2, 0)


def test_the_same_policy_changes_nothing(records: list[Record]) -> None:
    found = replayed(records[:3_000], Alternative(policy=LOGGED))
    assert found.changed_count == 0
    assert found.other_actions == found.actions
    value = evaluate(found.observations.logged(Reward.CONVERTED))
    assert value.ips == value.logged
    assert value.unsupported == 0


def test_another_policy_is_reported_by_what_it_changes(always: Findings) -> None:
    assert always.different_count == 0
    assert always.other_actions.total() > always.actions.total()
    assert always.changed_count == always.changes.total()
    assert any(was.reason == "chose_nothing" and would.kind == "intervene" for was, would in always.changes)
    assert all(was != would for was, would in always.changes)


def test_another_model_is_asked(records: list[Record]) -> None:
    found = replayed(records[:3_000], Alternative(model=Gloomy()))
    assert found.different_count == 0
    assert found.other_actions.total() > found.actions.total()
    assert replayed(records[:3_000], Alternative(model=next(iter(known_models().values())))).changed_count == 0


def test_the_value_of_always_helping_is_what_helping_was_worth(records: list[Record], always: Findings) -> None:
    value = evaluate(always.observations.logged(Reward.CONVERTED))
    for estimate in (value.ips, value.snips, value.doubly_robust):
        assert estimate.lower < HELPED < estimate.upper
        assert estimate.error < 0.1
    assert value.lift.lower > 0
    assert value.unsupported == 0
    taken_up = evaluate(always.observations.logged(Reward.ACCEPTED))
    assert taken_up.doubly_robust.lower < 0.5 < taken_up.doubly_robust.upper
    # Never to help is worth what users did alone.
    silent = evaluate(replayed(records, Alternative(policy=NEVER)).observations.logged(Reward.CONVERTED))
    assert silent.doubly_robust.lower < ALONE < silent.doubly_robust.upper


def test_actions_the_log_never_tried_are_reported(records: list[Record]) -> None:
    eager = policy_of(LOGGING | {"version": "eager", "trigger": {"score": 40, "strong_signals": 1}})
    found = replayed(records[:3_000], Alternative(policy=eager))
    assert evaluate(found.observations.logged(Reward.CONVERTED)).unsupported > 0.05


def test_users_who_were_held_out_are_no_witnesses(records: list[Record], always: Findings) -> None:
    everybody = [
        row
        for each in records
        for row in each.decisions.values()
        if row["propensity"] not in {None, 1.0} or "chose_nothing" in row["reasons"]
    ]
    held = sum("holdout" in row["reasons"] for row in everybody)
    assert held > 0
    assert 0 < len(always.observations) <= len(everybody) - held


def test_an_unavailable_version_is_reported(records: list[Record]) -> None:
    with pytest.raises(UnknownVersionError, match=f"decisions by {LOGGED.version.replace('+', '.')}, which is not"):
        replayed(records, policies=[ALWAYS])


class Stages:
    """Models in service, of which others may serve later."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving

    def served(self) -> Served:
        """See `services.scoring.ports.Models`."""
        return Served({EVERYBODY: self.serving})


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """First a canary decides for half of the users, in the same records; then another model takes over, then nobody."""
    folder, (shipped,) = tmp_path_factory.mktemp("staged"), known_models().values()
    served = [Serving(shipped, Gloomy(), 50), Serving(shipped), Serving(Hopeful()), Serving(Demanding())]
    stages = Stages(served[0])

    async def live() -> None:
        async with mesh.running(folder, json.dumps(LOGGING), models=stages) as running:
            running.stream.ordering_group = lambda key: "0"  # type: ignore[method-assign]  # noqa: ARG005
            for hour, stages.serving in enumerate(served):
                times = dict.fromkeys(("event_time_us", "received_time_us"), NOW_US + hour * 60 * MINUTE_US)
                for kind in KINDS:
                    its = [event(f"{kind}-{user}-{hour}", f"u-{user}", kind, **times) for user in range(9)]
                    await running.send(*its[:6])
                    await running.send(*its[6:])
                await running.dispatch()
            await running.archive()

    asyncio.run(live())
    files = ParquetArchive(f"file://{folder}")
    return list(archived.records(files, archive.contents(files), lambda events: events))


def by_model(staged: Sequence[Record]) -> Counter[str]:
    return Counter(row["model_version"] for each in staged for row in each.decisions.values())


def replayed_by(staged: Sequence[Record], *models: Model) -> Findings:
    known = {each.card.version: each for each in models} | known_models()
    what_if = WhatIf({LOGGED.version: LOGGED}, known, Alternative(), EVER)
    asyncio.run(what_if.run(staged))
    return what_if.findings


def test_each_decision_is_derived_by_the_model_that_it_names(staged: list[Record]) -> None:
    mixed = [each for each in staged if len({row["model_version"] for row in each.decisions.values()}) > 1]
    assert mixed, "a record with users of the canary and others"
    assert set(by_model(staged)) == {*known_models(), "gloomy", "hopeful", "rules-only"}
    found = replayed_by(staged, Gloomy(), Hopeful())
    assert found.compared_count == by_model(staged).total()
    assert (found.differences, found.gone) == ([], {})


def test_decisions_by_a_model_that_is_gone_are_said_and_what_it_said_still_counts(staged: list[Record]) -> None:
    found = replayed_by(staged, Hopeful())
    count = by_model(staged)["gloomy"]
    assert found.gone == {"gloomy": count}
    assert found.compared_count == by_model(staged).total() - count
    assert found.differences == []
    console = Console(file=io.StringIO(), width=200)
    report.show(console, found, {}, has_other=False, gap_count=0)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"{count} decisions by the model gloomy, which is gone: not compared." in printed


def test_before_the_first_decision_nothing_can_be_derived() -> None:
    found = replayed([Record("0", 1, {0: Archived("0", 1, 0, event(), is_set_aside=False)}, {}, 0)])
    assert (found.event_count, found.compared_count, found.undecided_count) == (0, 0, 0)


class Undelivered(NamedTuple):
    """A service in which a message turned out not to have been sent, and what its archive holds."""

    policy: Policy
    records: list[Record]


@pytest.fixture(scope="module")
def undelivered() -> Undelivered:
    """One chat message a day is allowed; the first one never left, so that a second is sent."""
    action = document()["actions"][0] | {"channel": "chat"}
    caps = [{"channel": "chat", "most": 1, "per": "day"}]
    tree = document(version="one", trigger={"score": 0}, caps=caps, cooldown="1m", actions=[action], quiet_hours=None)
    policy, (model,) = policy_of(tree), known_models().values()

    async def serve() -> list[Record]:
        journeys, service, records = Journeys(), Deriving(), list[Record]()
        for number in range(4):
            at_us = NOW_US + number * 40 * MINUTE_US
            seen = event(f"e-{number}", event_time_us=at_us, received_time_us=at_us)
            record = Record("0", number, {0: Archived("0", number, 0, seen, is_set_aside=False)}, {}, 0)
            if number == 2:
                await service.note_undelivered({"ada": (("i-0-0-0", "chat"),)})
            rows = archived.rows_of([record])
            applied = await journeys.apply("0", [number], rows, groups_of(rows))
            blocks = await service.derive(applied, all_by(model, applied), policy)
            ((_, row),) = _packed([record], blocks, policy).items()
            records.append(record._replace(decisions={0: row}))
        return records

    return Undelivered(policy, asyncio.run(serve()))


def test_a_message_that_never_left_is_known_to_the_replay(undelivered: Undelivered) -> None:
    kinds = [each.decisions[0]["kind"] for each in undelivered.records]
    assert kinds == ["intervene", "none", "intervene", "none"]
    found = replayed(undelivered.records, policies=[undelivered.policy])
    assert (found.compared_count, found.differences) == (4, [])
    # From the events alone nobody could know.
    silent = [each._replace(decisions={0: {**each.decisions[0], "inputs": None}}) for each in undelivered.records]
    assert any("kind" in each.columns for each in replayed(silent, policies=[undelivered.policy]).differences)


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the documents of the policies."""
    made = tmp_path_factory.mktemp("policies")
    always = LOGGING | {"version": "always", "exploration": {"temperature": 0, "floor": 0}}
    for name, tree in {"then": LOGGING, "always": always}.items():
        (made / f"{name}.yaml").write_text(yaml.safe_dump(tree))
    return made


def command(*given: str) -> int:
    """Runs the command."""
    parser = ArgumentParser()
    replay.add_arguments(parser)
    return asyncio.run(replay.main(parser.parse_args([*given, "--models", str(MODELS)])))


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_the_command_proves_that_the_archive_derives(
    folder: Path, documents: Path, records: list[Record], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--archive", f"file://{folder}", "--policies", str(documents)) == 0
    count = sum(len(each.decisions) for each in records)
    printed = said(capsys)
    assert f"decisions compared │ {count:,}" in printed
    assert f"equal │ {count:,}" in printed
    assert "different │ 0" in printed
    assert "Interventions" not in printed


def test_the_command_reports_what_another_policy_changes(
    folder: Path, documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, plot = str(documents / "always.yaml"), tmp_path / "plot.png"
    given = ["--archive", f"file://{folder}", "--policies", str(documents), "--policy", other, "--plot", str(plot)]
    assert command(*given, "--from", "2026-01-02T10:00:00Z", "--to", "2026-01-04T00:00") == 0
    printed = said(capsys)
    for words in ("Changed decisions", "Interventions", "Value: converted", "other, doubly robust", "show_live_chat"):
        assert words in printed
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_without_a_plotting_library_the_report_is_text_and_says_how_to_get_the_picture(
    folder: Path, documents: Path, tmp_path: Path
) -> None:
    """Nor any other library that `make run` does not install."""
    plot = tmp_path / "plot.png"
    given = ["replay", "--archive", f"file://{folder}", "--policies", str(documents), "--models", str(MODELS)]
    given += ["--policy", str(documents / "always.yaml"), "--plot", str(plot), "--from", "2026-01-02T10:00:00Z"]
    names = ("matplotlib", "PIL", "sklearn", "skl2onnx", "onnx", "psutil", "cryptography", "hypothesis")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({names})); sys.argv[1:] = {given}; "
        "from cli.__main__ import main; main()"
    )
    ended = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=False, timeout=120)
    printed = " ".join(ended.stdout.split())
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for words in ("Derived again", "Changed decisions", "Value: converted", "pip install matplotlib"):
        assert words in printed
    assert not plot.exists()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--archive", "somewhere"], "The archive's URL must be like"),
        (["--policies", "."], "which is not available: put its document into"),
        (["--policy", "nowhere.yaml"], "nowhere.yaml is not a policy"),
        (["--model", "nowhere"], "holds no complete model"),
    ],
)
def test_an_impossible_request_is_refused_in_a_sentence(
    folder: Path, documents: Path, capsys: pytest.CaptureFixture[str], given: list[str], sentence: str
) -> None:
    # What is given later counts.
    assert command("--archive", f"file://{folder}", "--policies", str(documents), *given) == 1
    assert sentence in said(capsys)


def test_policies_are_found_by_the_versions_they_decided_as(
    folder: Path,
    documents: Path,
    records: list[Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As after an upgrade that names every document otherwise, with an answer of `GET /api/policies` at hand."""
    dated = [
        {"version": policy_of(yaml.safe_load(path.read_text())).version, "document": path.read_text()}
        for path in documents.glob("*.yaml")
    ]
    monkeypatch.setattr(interpretation, "_RULES_VERSION", "decisions-of-tomorrow")
    given = ("--archive", f"file://{folder}", "--policies", str(tmp_path))
    for path in documents.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    assert command(*given) == 1
    assert "not available" in said(capsys)
    (tmp_path / "served.json").write_text(json.dumps({"policies": dated, "trouble": ""}))
    (tmp_path / "other.json").write_text("{}")
    assert command(*given) == 0
    assert f"equal │ {sum(len(each.decisions) for each in records):,}" in said(capsys)


def test_an_archive_that_is_not_whole_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ParquetArchive(f"file://{tmp_path}")
    asyncio.run(archives.write(files, "0", -1, 2))
    asyncio.run(archives.write(files, "0", 5, 7))
    assert command("--archive", f"file://{tmp_path}", "--policies", str(POLICIES)) == 1
    assert "ranges missing │ 1" in said(capsys)


def test_an_archive_without_a_file_yet_is_said_to_be_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--archive", f"file://{tmp_path}", "--policies", str(POLICIES))
    assert command(*given) == 0
    assert said(capsys) == "Nothing is archived yet: files are written once a minute."
    asyncio.run(archives.write(ParquetArchive(f"file://{tmp_path}"), "0", -1, 2))
    assert command(*given, "--to", "1999-01-01T00:00:00Z") == 0
    assert "events │ 0" in said(capsys)
