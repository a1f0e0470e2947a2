"""Anybody's data: the mapping, the label, the snapshots, and the way from a file to a model."""

import asyncio
import gzip
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from mesh.settings import SettingError
from offline import given
from offline.declared import archived, label, mapped, mapping, moments, reading
from offline.declared.journeys import Journey, Spilled, spill
from offline.declared.label import LabelError
from offline.declared.mapping import MappingError
from offline.declared.moments import Span
from offline.declared.reading import DataError, Profile
from offline.settings import Declared, Settings
from offline.training import gate
from offline.training.table import AT_EVENTS, AT_SESSION_END, DAILY, WEEKLY, Snapshot, Table, table
from services.features.domain.event import Event, Kind
from services.features.domain.state import DAY_US, SECOND_US
from services.ingest.archive.adapters.files import ParquetArchive
from tests.mesh.test_documents import MERGES
from tests.offline import archives

ROOT = Path(__file__).parents[2]
MONDAY_US = 1_767_571_200 * SECOND_US
MAPPING = """\
user: who
time: {column: at, format: "%d.%m.%Y %H:%M", zone: Europe/Berlin}
kind:
  column: did
  values: {look: page_view, buy: purchase}
page: where
outcomes:
  bought: {column: paid, is: ["yes"]}
"""
HEADER = "who,at,did,where,paid"
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return written


def read(tmp_path: Path, document: str, rows: str) -> tuple[Spilled, Profile, list[Journey]]:
    (tmp_path / "m.yaml").write_text(document)
    (tmp_path / "rows.csv").write_text(rows)
    folder, profile = tmp_path / "spilled", Profile()
    folder.mkdir(exist_ok=True)
    rows_read, columns = reading.rows(tmp_path / "rows.csv"), mapping.read(tmp_path / "m.yaml")[0]
    spilled = spill(mapped.taken(rows_read, columns, profile), folder)
    return spilled, profile, list(spilled.journeys())


def at(seconds: float, kind: int = Kind.PAGE_VIEW) -> Event:
    return Event(f"e-{seconds}", kind, MONDAY_US + round(seconds * SECOND_US), "/")


def asked(sentence: str, events: list[Event], days: float = 60, marks: dict[int, str] | None = None) -> list[Snapshot]:
    outcomes: list[tuple[str, ...]] = [((marks or {})[n],) if n in (marks or {}) else () for n in range(len(events))]
    wanted = label.parse(sentence, set((marks or {}).values()))
    span = Span(events[0].at_us, MONDAY_US + round(days * DAY_US))
    return list(moments.snapshots(Journey("ada", events, outcomes), wanted, span))


def test_rows_become_events_in_time_order(tmp_path: Path) -> None:
    rows = f"{HEADER}\nada,02.01.2026 10:30,buy,/b,yes\nada,02.01.2026 10:00,look,/a,no\n"
    _, _, (ada,) = read(tmp_path, MAPPING, rows)
    assert [(event.kind, event.page) for event in ada.events] == [(Kind.PAGE_VIEW, "/a"), (Kind.PURCHASE, "/b")]
    assert ada.events[0].at_us == 1_767_344_400 * SECOND_US
    assert ada.outcomes == [(), ("bought",)]


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("usr: who", "unknown field `usr`"),
        ("user: who\ntime: at\nkind: view", "'view'"),
        ("user: who\ntime: at\nproperties: {colour: where}", "'colour'"),
        ("user: who\ntime: {column: at, zone: Mars/Olympus}", "Mars/Olympus"),
        ("user: who\ntime: at\npage: path", "'path'"),
        ("user: who\ntime: at\nnumbers: [paid]\ncategories: [paid]", "named twice"),
        ("time: at", "names a time but no user"),
        ("user: [who", "is no YAML"),
        ("user: !!bool tea", "is no YAML"),
        ("user: !!timestamp noon", "is no YAML"),
        (MERGES, "means more than 20,000 values"),
        ("user: who\ntime: at\nkind: {column: did, values: {buy: purchase}}", r"'look' \(1 rows\)"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused_in_a_sentence(tmp_path: Path, document: str, sentence: str) -> None:
    with pytest.raises(MappingError, match=sentence):
        read(tmp_path, document, f"{HEADER}\nada,2026-01-02T10:00,look,/a,no\n")


def test_rows_that_cannot_be_used_are_counted_by_the_reason(tmp_path: Path) -> None:
    rows = f"{HEADER}\nada,02.01.2026 10:30,buy,/b,yes\n,02.01.2026 10:00,look,/a,no\nada,yesterday,look,/a,no\n"
    spilled, _, _ = read(tmp_path, MAPPING, rows)
    assert (spilled.taken, spilled.left_out) == (1, {"without a user": 1, "with a time of another form": 1})


def test_values_are_counted_and_mixed_spellings_are_seen(tmp_path: Path) -> None:
    rows = f"{HEADER}\n" + "".join(f"ada,02.01.2026 10:00,look,/a,{paid}\n" for paid in ("True", "true", "true", "no"))
    _, profile, _ = read(tmp_path, MAPPING, rows)
    assert profile.counts["paid"] == {"True": 1, "true": 2, "no": 1}
    assert profile.mixed("paid") == ["True", "true"]
    assert profile.mixed("did") == []


def test_csv_json_and_parquet_say_the_same(write: Write, tmp_path: Path) -> None:
    expected = [{"who": "ada", "at": "5"}, {"who": "bob", "at": "7"}]
    write("a.csv", "who;at\nada;5\nbob;7\n")
    write("b.jsonl", '{"who": "ada", "at": 5}\n\n{"who": "bob", "at": 7}\n')
    pq.write_table(pa.table({"who": ["ada", "bob"], "at": [5, 7]}), tmp_path / "c.parquet")
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(b"\xef\xbb\xbfwho\tat\nada\t5\nbob\t7\n"))
    for name in ("a.csv", "b.jsonl", "c.parquet", "d.csv.gz"):
        assert list(reading.rows(tmp_path / name)) == expected
    assert list(reading.rows(tmp_path)) == expected * 4


def test_an_archive_is_read_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    asyncio.run(archives.write(ParquetArchive(f"file://{folder}"), "0", -1, 4))
    (tmp_path / "spilled").mkdir()
    assert archived.is_archive(str(folder))
    assert not archived.is_archive(str(tmp_path))
    spilled = spill(archived.taken(str(folder)), tmp_path / "spilled")
    assert [event.event_id for each in spilled.journeys() for event in each.events] == [f"0-{n}" for n in range(5)]
    assert not spilled.left_out


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.csv", "who,at\nada\n", "row 2 has 1 values for 2 columns"),
        ("a.jsonl", "[1]\n", "no object"),
        ("a.jsonl", "{\n", "cannot be read"),
        ("a.xls", "", "none of the endings"),
    ],
)
def test_data_that_cannot_be_read_is_refused_in_a_sentence(write: Write, name: str, text: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        list(reading.rows(write(name, text)))


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("session is over, at session end", "at events only"),
        ("churn", "none of the forms"),
        ("no event for 0 days", "at least one day"),
        ("no event for 14 days, sometimes", "moments are"),
        ("no event for 14 days, daily and weekly", "one of them"),
        ("session ends without joy", "no event type and no outcome"),
        ("session ends without purchase, at session end", "ask `at events`"),
        ("session ends without purchase, weekly", "cannot be asked weekly"),
    ],
)
def test_a_label_that_makes_no_sense_is_refused_in_a_sentence(sentence: str, reason: str) -> None:
    with pytest.raises(LabelError, match=reason):
        label.parse(sentence, ())


def test_no_event_for_days_is_asked_where_the_data_has_these_days() -> None:
    events = [at(0), at(3600 * 24 * 3), at(3600 * 24 * 20)]
    assert [(s.at_us, s.is_true) for s in asked("no event for 14 days", events, days=30)] == [
        (events[0].at_us, False),
        (events[1].at_us, True),
    ]


def test_the_rest_of_the_session_is_no_return() -> None:
    assert [s.is_true for s in asked("no event for 14 days", [at(0), at(600), at(1200)])] == [True] * 3


def test_a_session_s_end_is_asked_until_what_it_would_end_without() -> None:
    events = [at(0), at(60, Kind.PURCHASE), at(120), at(7200), at(7260)]
    answers = [(s.at_us, s.is_true) for s in asked("session ends without purchase", events)]
    assert answers[0] == (events[0].at_us, False)
    assert [is_true for _, is_true in answers[1:]] == [True]
    assert answers[1][0] in {events[3].at_us, events[4].at_us}


def test_an_outcome_is_asked_of_every_session() -> None:
    found = asked("session ends without bought, at session end", [at(0), at(7200)], marks={0: "bought"})
    assert [(s.moment, s.is_true) for s in found] == [(AT_SESSION_END, False), (AT_SESSION_END, True)]


def test_what_comes_within_days_is_after_the_moment() -> None:
    events = [at(0, Kind.PURCHASE), at(86400 * 5), at(86400 * 10, Kind.PURCHASE)]
    assert [s.is_true for s in asked("purchase within 7 days", events)] == [False, True, False]


def test_who_never_returns_has_no_later_session() -> None:
    events = [at(0), at(60), at(86400)]
    assert [s.is_true for s in asked("never returns", events)] == [False, True]
    assert asked("never returns", events, days=1.0)[:1]
    assert not asked("never returns", [*events[:2], at(86400 * 59)])[1:]


def test_a_session_is_over_at_its_last_event_once_the_pause_is_in_the_data() -> None:
    events = [at(0), at(60), at(7200), at(7260)]
    assert [(s.at_us, s.is_true) for s in asked("session is over", events)][:2] == [
        (events[0].at_us, False),
        (events[1].at_us, True),
    ]
    assert len(asked("session is over", events)) == 3
    assert len(asked("session is over", events, days=7261 / 86400)) == 2


@pytest.mark.parametrize(("moment", "days"), [(DAILY, 1), (WEEKLY, 7)])
def test_regular_moments_are_at_midnight_and_know_nothing_of_later(moment: str, days: int) -> None:
    events = [at(3600), at(86400 * 9.5), at(86400 * 11)]
    found = asked(f"no event for 2 days, {moment}", events, days=16)
    assert [s.at_us for s in found] == [MONDAY_US + day * DAY_US for day in range(days, 15, days)]
    for snapshot in found:
        before = [event for event in events if event.at_us <= snapshot.at_us]
        assert snapshot.is_true == all(
            not snapshot.at_us < event.at_us <= snapshot.at_us + 2 * DAY_US for event in events
        )
        assert snapshot.idle_days == (snapshot.at_us - before[-1].at_us) / DAY_US


def test_a_later_event_changes_no_earlier_snapshot() -> None:
    events = [at(0), at(86400), at(86400 * 2, Kind.ERROR)]
    few, more = (asked("no event for 1 days, at events", events[:count]) for count in (2, 3))
    assert [s.values for s in few] == [s.values for s in more][:2]


def by_system(seconds: float, kind: int = Kind.FEATURE_INTERACTION) -> Event:
    return msgspec.structs.replace(at(seconds, kind), is_system=True)


def by_bot(seconds: float, kind: int = Kind.FEATURE_INTERACTION) -> Event:
    return msgspec.structs.replace(at(seconds, kind), is_bot=True)


def reported(seconds: float, kind: int = Kind.IDENTIFY) -> Event:
    return at(seconds, Kind.INTERVENTION_OUTCOME if kind == Kind.PURCHASE else Kind.IDENTIFY)


@pytest.mark.parametrize("other", [by_system, by_bot, reported])
@pytest.mark.parametrize(
    "sentence",
    [
        "no event for 2 days, at events and daily",
        "never returns, at session end",
        "purchase within 7 days, at events and weekly",
        "session is over",
        "session ends without purchase",
    ],
)
def test_what_others_did_and_what_is_reported_is_no_moment_and_no_return(
    sentence: str, other: Callable[..., Event]
) -> None:
    own = [at(3600), at(3660), at(86400 * 6)]
    sent = [other(60), other(3630), other(86400 * 2), other(86400 * 20, Kind.PURCHASE)]
    both = sorted([*own, *sent], key=lambda event: event.at_us)
    assert asked(sentence, own, days=40)
    expected = [(s.moment, s.at_us, s.known_us, s.is_true, s.idle_days) for s in asked(sentence, own, days=40)]
    assert [(s.moment, s.at_us, s.known_us, s.is_true, s.idle_days) for s in asked(sentence, both, days=40)] == expected
    assert not asked(sentence, sent, days=40)


def test_a_copy_is_no_moment_and_still_part_of_the_session() -> None:
    events, wanted = [at(0, Kind.PURCHASE), at(60)], label.parse("session ends without purchase", ())
    journey, span = Journey("ada", events, [(), ()], {0}), Span(MONDAY_US, MONDAY_US + 9 * DAY_US)
    silent = label.parse("no event for 1 days, at events and at session end", ())
    assert [s.at_us for s in moments.snapshots(journey, silent, span)] == [events[1].at_us] * 2
    assert not list(moments.snapshots(journey, wanted, span))  # it was bought before the sign-in


def test_a_journey_that_goes_on_as_another_user_s_is_asked_only_as_far_as_it_is_known() -> None:
    link = msgspec.structs.replace(reported(86400 * 5), is_link=True)
    events = [at(0), at(86400 * 4)]
    assert [s.at_us for s in asked("no event for 2 days", [*events, link])] == [events[0].at_us]
    assert len(asked("no event for 2 days", events)) == 2
    assert asked("never returns", events)
    assert not asked("never returns", [*events, link])


def test_what_a_system_reports_is_in_the_features_as_they_are_served() -> None:
    struggle = msgspec.structs.replace(at(10, Kind.STRUGGLE_SIGNAL), attempt_count=5)
    trouble, paid, later = [at(0), struggle], by_system(15, Kind.PURCHASE), at(20)
    paid_for, unpaid = (
        asked("no event for 2 days, at events", events)[-1] for events in ([*trouble, paid, later], [*trouble, later])
    )
    assert paid_for.at_us == unpaid.at_us == later.at_us
    assert paid_for.rule_probability < unpaid.rule_probability  # being paid for, it is no trouble any more


def rows_of_a_shop(users: int) -> Iterator[str]:
    yield "visitor,when,action,path"
    for number in range(users):
        drawn = crc32(f"visitor-{number}".encode())
        visits = 2 + drawn % 3 if drawn % 2 else 9
        for visit in range(visits):
            start = 1_767_571_200 + visit * 86400 * 4 + drawn % 40_000
            for step in range(3):
                yield f"v{number},{start + step * 60},{('view', 'view', 'buy')[step]},/{step}"


@pytest.fixture
def shop(write: Write) -> dict[str, str]:
    write("shop.csv", "\n".join(rows_of_a_shop(150)) + "\n")
    mapped = "user: visitor\ntime: {column: when, format: unix}\npage: path\n"
    mapped += "kind: {column: action, values: {view: page_view, buy: purchase}}\n"
    folder = write("shop.yaml", mapped).parent
    return {
        "DATA": str(folder / "shop.csv"),
        "MAPPING": str(folder / "shop.yaml"),
        "LABEL": "no event for 5 days",
        "JOURNEYMESH_MODELS": str(folder / "models"),
    }


@pytest.mark.parametrize(("is_own", "count"), [("", 0), ("is_own: false\n", 0), ("is_own: true\n", 150)])
def test_users_count_as_those_of_the_installation_if_the_mapping_says_so(
    shop: dict[str, str], is_own: str, count: int
) -> None:
    mapping = Path(shop["MAPPING"])
    mapping.write_text(mapping.read_text(encoding="utf-8") + is_own, encoding="utf-8")
    declared = Declared(shop["DATA"], shop["MAPPING"], shop["LABEL"])
    assert given.source(Settings(), declared, Console(quiet=True)).own_users == count


def command(module: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS"}}
    environment |= {"PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env=environment
        | {"PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_a_csv_becomes_a_model_that_is_live_only_if_asked_for(shop: dict[str, str]) -> None:
    models = Path(shop["JOURNEYMESH_MODELS"])
    trained = command("offline.train", shop)
    assert trained.returncode == 0, trained.stderr
    (folder,) = models.iterdir()
    assert folder.name in trained.stdout
    assert "It is not live" in trained.stdout
    card = (folder / "card.md").read_text()
    mapping_hash = mapping.read(Path(shop["MAPPING"]))[1]
    assert all(said in card for said in ("shop.csv", mapping_hash, "no event for 5 days, at events"))
    assert "OULAD" not in card
    described = msgspec.json.decode((folder / "model.json").read_bytes())
    assert next(iter(described["metrics"])) == f"other users, {AT_EVENTS}"
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = command("offline.train", shop | {"PROMOTE": "yes"})
    assert again.returncode == 0, again.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    assert (models / "live").read_text().strip() == folder.name
    evaluated = command("offline.evaluate", shop | {"MODEL": folder.name})
    assert evaluated.returncode == 0, evaluated.stderr
    assert "all users, at events" in evaluated.stdout


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"LABLE": "never returns"}, "LABLE is no variable of this command; LABEL is."),
        ({"MAKEFLAGS": " -- DATA=x LABLES=no\\ event"}, "LABLES is no variable of this command"),
        ({"MAKEFLAGS": "w -- SEED=4"}, "SEED is no variable of this command"),
    ],
)
def test_an_unknown_variable_is_refused(variables: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        given.require_known(variables)


def test_what_make_and_a_shell_have_is_no_unknown_variable() -> None:
    given.require_known(dict(os.environ) | {"MAKEFLAGS": " -- DATA=a LABEL=never\\ returns JOURNEYMESH_DATA=/d"})
    given.require_known({"DATE": "2026-01-02", "MODE": "batch", "LABEL": "never returns", "LABELS": "of a build"})


@pytest.mark.parametrize("missing", ["DATA", "MAPPING", "LABEL"])
def test_half_of_what_is_needed_is_refused(shop: dict[str, str], missing: str) -> None:
    done = command("offline.train", shop | {missing: ""})
    assert done.returncode == 1
    assert missing in done.stderr


def test_the_gate_holds_for_what_is_no_worse() -> None:
    rows = _rows(400)
    good, bad = np.where(rows.is_true, 0.8, 0.2), np.full(len(rows), 0.5)
    assert gate.judge(good, good, rows).holds
    assert gate.judge(good, bad, rows).holds
    assert not gate.judge(bad, good, rows).holds


def _rows(count: int) -> Table:
    return table(Snapshot(f"u{n // 2}", AT_EVENTS, n, n + 1, 0.0, n % 3 == 0, 0.0, [0.0], []) for n in range(count))
