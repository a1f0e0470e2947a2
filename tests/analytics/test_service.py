"""From the archive to an answer over a real stub: once each, by tenant, with a receipt."""

import contextlib
import csv
import dataclasses
import io
import json
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
import pyarrow.parquet as pq
import pytest
from google.protobuf.wrappers_pb2 import DoubleValue
from journeymesh.analytics.v1 import analytics_pb2 as wire
from journeymesh.analytics.v1.analytics_pb2_grpc import AnalyticsServiceStub, add_AnalyticsServiceServicer_to_server
from journeymesh.common.v1 import event_pb2

from mesh.errors import DeadlineExceeded, InvalidArgument, NotFound, Unavailable
from mesh.rpc.timestamps import timestamp
from records.tenants import qualified
from services.analytics.adapters.budgets import MemoryBudgets
from services.analytics.adapters.questions.files import AnswerFiles
from services.analytics.adapters.segments import MemorySegments
from services.analytics.adapters.tasks import Place
from services.analytics.adapters.workers import DuckDb, FolderCopies, working
from services.analytics.bootstrap import following
from services.analytics.domain.layout import VERSION
from services.analytics.domain.question import DAY_US, Comparison, Condition, Field, Price, Prices, UserFilter
from services.analytics.domain.segment import Draft
from services.analytics.servicer import AnalyticsServicer
from services.analytics.settings import Settings
from services.analytics.usecases import Asking, Costing, Saving
from services.ingest.archive.adapters.files import ParquetArchive
from services.ingest.archive.adapters.tail import ArrowTail
from services.ingest.archive.domain.layout import DECISIONS, EVENTS
from tests.archive.world import World
from tests.buckets import new_bucket
from tests.builders import NOW_US, event
from tests.serving import serving

if TYPE_CHECKING:
    from journeymesh.analytics.v1.analytics_pb2_grpc import AnalyticsServiceAsyncStub

SECOND_US: Final = 1_000_000


PRICES: Final = Prices((Price("buffer", usd_per_million_events=2.0), Price("machines", usd_per_day=3.0)), 40.0)


class Spent:
    """What language models cost: two dollars on each day, of each tenant."""

    async def usd_by_day(self, tenant: str, day_count: int) -> Mapping[int, float]:
        today = NOW_US // DAY_US
        return {day * DAY_US: 2.0 for day in range(today + 1 - day_count, today + 1)}


@dataclasses.dataclass(frozen=True)
class Site:
    """An archive, copies of it, and a service that answers from them."""

    folder: Path
    world: World
    copies: FolderCopies
    stub: "AnalyticsServiceAsyncStub"
    segments: Saving

    async def archive(self, *events: event_pb2.Event, score: float = 10.0) -> None:
        """Events through the stream into the archive, and on into the copies."""
        last = await self.world.append(*events)
        await self.world.dispatch(score=score)
        async with self.world.following():
            await self.world.until_checkpoint(last)
        await self.bring_up()

    async def bring_up(self) -> None:
        """Brings the copies up to the archive."""
        while await self.copies.bring_up():
            pass

    async def count(self, tenant: str = "", **question: Any) -> float:
        """How many events there are."""
        asked = wire.TrendQuestion(measure=wire.MEASURE_EVENTS, **question)
        return (await self.stub.AskTrend(wire.AskTrendRequest(tenant=tenant, question=asked))).series[0].total

    async def journey(self, user_id: str) -> list[str]:
        """The events of a user, as they are told."""
        asked = wire.AskJourneyRequest(question=wire.JourneyQuestion(user_id=user_id))
        entries = (await self.stub.AskJourney(asked)).entries
        return [entry.event.event_id for entry in entries if entry.HasField("event")]

    def rows(self) -> list[dict[str, Any]]:
        """All rows of the copies, in the order of their files."""
        found = sorted(
            (self.folder / "copies").rglob("*.parquet"), key=lambda path: (path.parent, path.name.partition("-")[0])
        )
        return [row for path in found for row in pq.read_table(path, partitioning=None).to_pylist()]

    def residue(self, text: str) -> list[Path]:
        """The files of the copies that hold a text anywhere."""
        found = [*(self.folder / "copies").rglob("*.parquet")]
        return [path for path in found if text in str(pq.read_table(path, partitioning=None).to_pylist())]


@contextlib.asynccontextmanager
async def site(folder: Path, most_rows: int = 1_000_000, archive_url: str = "") -> AsyncIterator[Site]:
    world = World(folder / "archive")
    if archive_url:
        world.archive, world.tail = ParquetArchive(archive_url), ArrowTail(archive_url)
    place = Place(archive_url or (folder / "archive").as_uri(), str(folder / "copies"))
    async with working(1) as counting, working(1) as copying:
        copies = FolderCopies(copying, place)
        segments = Saving(MemorySegments(), lambda: NOW_US, secrets.token_bytes)
        servicer = AnalyticsServicer(
            Asking(copies, DuckDb(counting, place.root), most_rows),
            Costing(copies, Spent(), PRICES, MemoryBudgets(), lambda: NOW_US + SECOND_US),
            segments,
            AnswerFiles(),
            lambda: NOW_US + SECOND_US,
        )
        async with serving(lambda to: add_AnalyticsServiceServicer_to_server(servicer, to)) as channel:
            yield Site(folder, world, copies, AnalyticsServiceStub(channel), segments)


async def test_each_event_counts_once_however_files_are_joined(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        for number in range(3):
            await at.archive(event(f"e-{number}", event_time_us=NOW_US - number * SECOND_US))
            assert await at.count() == number + 1
        for hour in await at.world.archive.hours():
            await at.world.archive.compact("0", hour)
        assert len(at.world.archive.files(EVENTS)) == 1
        await at.bring_up()
        assert await at.count() == 3


async def test_a_late_event_changes_its_own_day_only(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        await at.archive(event("e-1"))
        before = at.copies.manifest().parts
        await at.archive(event("e-2", event_time_us=NOW_US - 3 * 86_400 * SECOND_US))
        after = at.copies.manifest().parts
        assert {**after, **before} == after
        assert await at.count() == 2


async def test_events_of_one_moment_are_in_the_order_of_the_stream(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        await at.archive(event("e-3"), event("e-1"))
        await at.archive(event("e-2"), event("e-0"))
        assert await at.journey("ada") == ["e-3", "e-1", "e-2", "e-0"]
        for hour in await at.world.archive.hours():
            await at.world.archive.compact("0", hour)
        await at.bring_up()
        assert await at.journey("ada") == ["e-3", "e-1", "e-2", "e-0"]


async def test_a_journey_is_read_from_the_days_of_its_user(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        days = [NOW_US - day * 86_400 * SECOND_US for day in range(3)]
        await at.archive(*(event(f"e-{day}", event_time_us=time) for day, time in enumerate(days)), score=80)
        await at.archive(event("e-9", user_id="bob", event_time_us=days[1]))
        assert await at.journey("bob") == ["e-9"]
        assert await at.journey("ada") == ["e-2", "e-1", "e-0"]
        assert await at.journey("nobody") == []


async def test_who_is_erased_is_in_no_answer_and_no_file(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        await at.archive(event("e-1", user_id="eve"), event("e-2", user_id="ada"), score=80)
        assert len(at.residue("'eve'")) == 6
        for kind in (EVENTS, DECISIONS):
            for file in at.world.archive.files(kind):
                await at.world.archive.erase(file, ["eve"])
        await at.bring_up()
        assert at.residue("'eve'") == []
        assert await at.count() == 1
        journey = await at.stub.AskJourney(wire.AskJourneyRequest(question=wire.JourneyQuestion(user_id="eve")))
        assert list(journey.entries) == []


async def test_an_archive_in_a_bucket_is_followed_like_one_in_a_folder(
    tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site(tmp_path, archive_url=new_bucket(monkeypatch, s3)) as at:
        await at.archive(event("e-1", user_id="eve"), score=80)
        await at.archive(event("e-2"), event("e-3", event_time_us=NOW_US - 86_400 * SECOND_US), score=80)
        assert await at.count() == 3
        for hour in await at.world.archive.hours():
            await at.world.archive.compact("0", hour)
        await at.bring_up()
        assert await at.count() == 3
        for kind in (EVENTS, DECISIONS):
            for file in at.world.archive.files(kind):
                await at.world.archive.erase(file, ["eve"])
        await at.bring_up()
        assert at.residue("'eve'") == []
        assert await at.count() == 2
        assert await at.journey("ada") == ["e-3", "e-2"]


async def test_tenants_see_their_own(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        await at.archive(event("e-1"), event(qualified("acme", "e-1"), user_id=qualified("acme", "bob")), score=80)
        assert [await at.count(tenant) for tenant in ("", "acme", "other")] == [1, 1, 0]
        asked = wire.AskJourneyRequest(tenant="acme", question=wire.JourneyQuestion(user_id="bob"))
        entries = (await at.stub.AskJourney(asked)).entries
        assert [each.event.event_id for each in entries if each.HasField("event")] == ["e-1"]
        (decision,) = (each.decision for each in entries if each.HasField("decision"))
        assert (decision.kind, decision.reasons[0], decision.level) == ("intervene", "risk_at_trigger", "high")
        assert decision.indicators[0].name == "form_errors"
        assert list(decision.struggles) == ["form_errors"]
        assert "acme" not in str(entries)


async def test_a_copy_of_an_event_counts_instead_of_it(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        await at.archive(event("e-1", user_id="anon"))
        await at.archive(event("jm:e-1", user_id="ada", copied_event_id="e-1"))
        assert await at.count() == 1
        listed = await at.stub.AskList(wire.AskListRequest(question=wire.ListQuestion(kind=wire.LIST_KIND_USERS)))
        assert [row.user_id for row in listed.rows] == ["ada"]


async def test_the_same_question_gives_the_same_receipt_until_the_data_changes(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        await at.archive(event("e-1"))
        asked = wire.AskKpisRequest(question=wire.KpisQuestion())
        first, again = await at.stub.AskKpis(asked), await at.stub.AskKpis(asked)
        assert first == again
        assert first.receipt.watermark.ToMicroseconds() == NOW_US
        assert first.receipt.is_unfinished
        assert first.receipt.row_count == 2
        async with site(tmp_path) as other:
            assert (await other.stub.AskKpis(asked)).receipt == first.receipt
        await at.archive(event("e-2"))
        assert (await at.stub.AskKpis(asked)).receipt.sha256 != first.receipt.sha256


async def test_copies_are_the_same_when_they_are_made_again(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        for number in range(3):
            await at.archive(event(f"e-{number}"), score=80)
        before = at.rows()
        assert sum("received_time" in row for row in before) == 6
        (tmp_path / "copies" / "manifest.json").unlink()
        await at.bring_up()
        assert at.rows() == before


async def test_copies_with_fewer_columns_are_made_again_and_go(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        await at.archive(event("e-1"), event("e-2", user_id="ada"), score=80)
        before, copies = at.rows(), tmp_path / "copies"
        for kind in (EVENTS, DECISIONS):
            (copies / kind / VERSION).rename(copies / kind / "v1")
        written = copies / "manifest.json"
        written.write_text(written.read_text().replace(f'"{VERSION}"', '"v1"'))
        await at.bring_up()
        assert at.rows() == before
        assert await at.count() == 2
        assert not [*copies.glob("*/v1/*/*/part-*.parquet")]


async def test_copies_without_summaries_answer_and_get_them(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        await at.archive(event("e-1"), event("e-2", user_id="ada"), score=80)
        before = at.rows()
        shutil.rmtree(tmp_path / "copies" / "summaries")
        written = tmp_path / "copies" / "manifest.json"
        written.write_text(written.read_text().replace("summaries", "unknown"))
        assert await at.count() == 2
        await at.bring_up()
        assert at.rows() == before
        assert await at.count() == 2


async def test_an_export_has_the_rows_of_the_answer_and_no_formulas(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        await at.archive(event("e-1", user_id="=cmd()"), event("e-2", user_id="ada"))
        question = wire.ListQuestion(kind=wire.LIST_KIND_USERS)
        text = await _exported(at, wire.ExportAnswerRequest(list=question))
        rows = list(csv.DictReader(io.StringIO(text.decode())))
        assert {row["user_id"] for row in rows} == {"'=cmd()", "ada"}
        content = await _exported(at, wire.ExportAnswerRequest(list=question, format=wire.EXPORT_FORMAT_PARQUET))
        table = pq.read_table(io.BytesIO(content))
        assert {row["user_id"] for row in table.to_pylist()} == {"=cmd()", "ada"}
        assert b"sha256" in table.schema.metadata[b"journeymesh.receipt"]


async def test_the_model_is_watched_and_what_waits_is_counted(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        await at.archive(event("e-1", "ada", "page_view"), event("e-2", "bob", "page_view"), score=40.0)
        asked = wire.CalibrationQuestion(interval=wire.INTERVAL_MONTH)
        found = await at.stub.AskCalibration(wire.AskCalibrationRequest(question=asked))
        whole = found.spans[0]
        assert (whole.is_whole, whole.prediction_count, whole.waiting_count, whole.known_count) == (True, 2, 2, 0)
        assert not whole.HasField("predicted")
        assert not whole.HasField("gap")
        assert [each.prediction_count for each in found.versions] == [2]
        assert found.receipt.row_count == 4
        rows = csv.DictReader(io.StringIO((await _exported(at, wire.ExportAnswerRequest(calibration=asked))).decode()))
        assert [row["prediction_count"] for row in rows] == [str(each.prediction_count) for each in found.spans]
        moved = await at.stub.AskDrift(wire.AskDriftRequest())
        assert (moved.current.prediction_count, moved.previous.prediction_count, len(moved.items)) == (2, 0, 0)
        assert moved.current.at_risk_share.value == 0.0
        assert not moved.previous.HasField("at_risk_share")
        with pytest.raises(InvalidArgument):
            asked = wire.CalibrationQuestion(interval=wire.INTERVAL_HOUR)
            await at.stub.AskCalibration(wire.AskCalibrationRequest(question=asked))


async def _exported(at: Site, request: wire.ExportAnswerRequest) -> bytes:
    return b"".join([part.content async for part in at.stub.ExportAnswer(request)])


async def test_a_question_about_too_much_is_refused_with_what_would_fit(tmp_path: Path) -> None:
    async with site(tmp_path, most_rows=3) as at:
        days = [event(f"e-{day}", event_time_us=NOW_US - day * 86_400 * SECOND_US) for day in range(4)]
        await at.archive(*days)
        with pytest.raises(InvalidArgument, match="days would fit") as refused:
            await at.count()
        assert refused.value.reason == "QUESTION_TOO_LARGE"


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (wire.FunnelQuestion(steps=[wire.Step()]), "VALUE_OUT_OF_RANGE"),
        (wire.FunnelQuestion(steps=[wire.Step(), wire.Step()]), "MISSING_FIELD"),
        (wire.FunnelQuestion(window=wire.Window(time_zone="Mars/Base")), "VALUE_OUT_OF_RANGE"),
        (wire.FunnelQuestion(where=[wire.Condition(field=wire.FIELD_LEVEL, values=["high"])]), "VALUE_OUT_OF_RANGE"),
    ],
)
async def test_bad_questions_are_refused(tmp_path: Path, question: wire.FunnelQuestion, reason: str) -> None:
    async with site(tmp_path) as at:
        with pytest.raises(InvalidArgument) as refused:
            await at.stub.AskFunnel(wire.AskFunnelRequest(question=question))
        assert refused.value.reason == reason


async def test_what_a_caller_says_is_never_sql(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        await at.archive(event("e-1", page="'); DROP TABLE x; --"))
        where = wire.Condition(field=wire.FIELD_PAGE, values=["'); DROP TABLE x; --"])
        assert await at.count(where=[where]) == 1
        assert await at.count(where=[wire.Condition(field=wire.FIELD_PAGE, values=["' OR true --"])]) == 0


async def test_a_process_that_does_not_end_is_killed_and_replaced(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        await at.archive(event("e-1"))
        async with working(1) as workers:
            hurried = DuckDb(workers, str(tmp_path / "copies"), kill_seconds=0.001)
            with pytest.raises(DeadlineExceeded):
                await Asking(at.copies, hurried).ask("", _question())
            patient = DuckDb(workers, str(tmp_path / "copies"))
            answered = await Asking(at.copies, patient).ask("", _question())
            assert answered.receipt.row_count == 2


def _question() -> Any:
    from services.analytics.translation import trend_of

    return trend_of(wire.TrendQuestion(), NOW_US)


@pytest.mark.parametrize("seconds", [0.0, 0.000_1, 0.001, 0.005, 0.02])
async def test_a_question_given_up_leaves_no_process(tmp_path: Path, seconds: float) -> None:
    async with site(tmp_path) as at:
        await at.archive(event("e-1"))
        before = _children()
        async with working(1) as workers:
            hurried = DuckDb(workers, str(tmp_path / "copies"), kill_seconds=seconds)
            for _ in range(5):
                with pytest.raises(DeadlineExceeded):
                    await Asking(at.copies, hurried).ask("", _question())
                assert _children() == before


async def test_a_process_that_has_ended_leaves_no_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site(tmp_path) as at:
        await at.archive(event("e-1"))
        temporary = tmp_path / "temporary"
        temporary.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        async with working(1) as workers:
            await Asking(at.copies, DuckDb(workers, str(tmp_path / "copies"))).ask("", _question())
            assert list(temporary.glob("*/*"))
        assert not list(temporary.iterdir())


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


async def test_without_an_archive_questions_are_refused_and_nothing_else_happens() -> None:
    async with following(Settings()) as (asking, _):
        with pytest.raises(Unavailable, match="no archive"):
            await asking.ask("", _question())


async def test_a_question_names_a_saved_segment_and_its_receipt_says_what_it_was(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        await at.archive(event("e-1"))
        viewers = UserFilter((Condition(Field.EVENT_TYPE, Comparison.IS, ("page_view",)),))
        nobody = UserFilter((Condition(Field.PAGE, Comparison.IS, ("/nowhere",)),))
        saved = await at.segments.create("", Draft("who viewed", "", nobody))
        question = wire.TrendQuestion(measure=wire.MEASURE_USERS, segment=wire.UserFilter(saved=saved.segment_id))
        asked = wire.AskTrendRequest(question=question)
        before = await at.stub.AskTrend(asked)
        await at.segments.change("", saved.segment_id, Draft("who viewed", "", viewers), 1)
        after = await at.stub.AskTrend(asked)
        assert (before.series[0].total, after.series[0].total) == (0, 1)
        told = [json.loads(each.receipt.question)["segment"]["definition"]["did"] for each in (before, after)]
        assert [each[0]["values"] for each in told] == [["/nowhere"], ["page_view"]]
        retained = wire.RetentionQuestion(segment=wire.UserFilter(at_least=wire.LEVEL_LOW))
        assert sum(each.user_count for each in (await at.stub.AskRetention(retention(retained))).cohorts) == 1
        await at.segments.delete("", saved.segment_id)
        steps = [wire.Step(where=[wire.Condition(field=wire.FIELD_PAGE, values=[each])]) for each in "ab"]
        funnel = wire.FunnelQuestion(segment=question.segment, steps=steps)
        in_list = wire.ListQuestion(kind=wire.LIST_KIND_DROP_OFFS, funnel=funnel, step=1)
        for refused in (
            at.stub.AskTrend(asked),
            at.stub.AskRetention(retention(wire.RetentionQuestion(segment=question.segment))),
            at.stub.AskList(wire.AskListRequest(question=in_list)),
        ):
            with pytest.raises(NotFound) as error:
                await refused
            assert error.value.reason == "SEGMENT_NOT_FOUND"


def retention(question: wire.RetentionQuestion) -> wire.AskRetentionRequest:
    return wire.AskRetentionRequest(question=question)


async def test_what_was_unusual_is_answered_with_a_receipt_and_as_a_file(tmp_path: Path) -> None:
    hour_us = 3_600 * SECOND_US
    start_us = NOW_US // hour_us * hour_us - 80 * hour_us
    async with site(tmp_path) as at:
        every = [
            event(f"e{hour}-{number}", f"u{number}", event_time_us=start_us + hour * hour_us + number * SECOND_US)
            for hour in range(80)
            for number in range(40 if hour == 70 else 5)
        ]
        await at.archive(*every)
        asked = wire.AskInsightsRequest(question=wire.InsightsQuestion())
        answer = await at.stub.AskInsights(asked)
        (incident,) = answer.incidents
        parts = {part.metric: part for part in incident.parts}
        assert set(parts) >= {wire.INSIGHT_METRIC_EVENTS, wire.INSIGHT_METRIC_USERS}
        users = parts[wire.INSIGHT_METRIC_USERS]
        assert users.opened.ToMicroseconds() == start_us + 70 * hour_us
        assert (users.observed, users.direction) == (40, wire.INSIGHT_DIRECTION_ABOVE)
        assert users.expected == pytest.approx(5, abs=0.5)
        assert incident.severity == wire.INSIGHT_SEVERITY_CRITICAL
        assert (answer.total_count, answer.needed_days) == (1, 20)
        assert len(answer.receipt.sha256) == 64
        export = wire.ExportAnswerRequest(insights=asked.question)
        rows = list(csv.DictReader(io.StringIO((await _exported(at, export)).decode())))
        assert len(rows) == sum(len(part.points) for part in incident.parts)
        assert {(row["metric"], row["observed_of_it"]) for row in rows} >= {("users", "40.0"), ("events", "40.0")}
        with pytest.raises(InvalidArgument, match="at most 90 days"):
            long = wire.Window()
            long.start.FromMicroseconds(NOW_US - 92 * 24 * hour_us)
            await at.stub.AskInsights(wire.AskInsightsRequest(question=wire.InsightsQuestion(window=long)))


async def test_a_declared_country_chooses_and_breaks_down(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        await at.archive(
            event("e-1", time_zone="Europe/Vienna"),
            event("e-2", time_zone="Europe/Berlin"),
            event("e-3", time_zone="Europe/Berlin", properties=b'{"country":"at"}'),
            event("e-4"),
        )
        austria = wire.Condition(field=wire.FIELD_COUNTRY, values=["AT"])
        assert await at.count(where=[austria]) == 2
        assert await at.count(segment=wire.UserFilter(did=[austria])) == 4
        asked = wire.TrendQuestion(measure=wire.MEASURE_EVENTS, breakdown=wire.FIELD_COUNTRY)
        series = (await at.stub.AskTrend(wire.AskTrendRequest(question=asked))).series
        assert {each.name: each.total for each in series} == {"AT": 2, "DE": 1, "": 1}


async def test_a_tenant_sets_its_own_budget_and_sees_what_today_has_used_of_it(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        await at.archive(event("e-1"), event("o-1", qualified("acme", "ada")))

        async def budget(tenant: str) -> wire.Budget:
            return (await at.stub.GetBudget(wire.GetBudgetRequest(tenant=tenant))).budget

        before = await budget("acme")
        assert not before.HasField("own_daily_usd")
        assert before.operator_daily_usd.value == before.daily_usd.value > 0
        assert before.used_share.value == pytest.approx(before.used_today_usd / before.daily_usd.value)
        set_ = wire.SetBudgetRequest(tenant="acme", daily_usd=DoubleValue(value=0.5), by="ada")
        for _ in range(2):
            after = (await at.stub.SetBudget(set_)).budget
        assert after == await budget("acme")
        assert (after.own_daily_usd.value, after.daily_usd.value, after.set_by) == (0.5, 0.5, "ada")
        assert after.used_share.value == pytest.approx(2 * after.used_today_usd)
        assert after.set_time.ToMicroseconds() == NOW_US + SECOND_US
        asked = wire.AskCostsRequest(tenant="acme", question=wire.CostsQuestion())
        assert (await at.stub.AskCosts(asked)).daily_budget_usd.value == 0.5
        assert not (await budget("")).HasField("own_daily_usd")
        for wrong in (0.0, -1.0, 1e-320, 9e-7, 2e9, float("nan")):
            set_.daily_usd.value = wrong
            with pytest.raises(InvalidArgument) as error:
                await at.stub.SetBudget(set_)
            assert error.value.reason == "VALUE_OUT_OF_RANGE"
        await at.stub.SetBudget(wire.SetBudgetRequest(tenant="acme"))
        assert await budget("acme") == before


async def test_what_the_mesh_cost_is_told_by_day_and_tenant(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        mine = [event(f"e-{number}") for number in range(3)]
        await at.archive(*mine, event("o-1", qualified("acme", "ada")), event("e-4", event_time_us=NOW_US - DAY_US))
        its = {
            tenant: await at.stub.AskCosts(wire.AskCostsRequest(tenant=tenant, question=wire.CostsQuestion()))
            for tenant in ("", "acme")
        }
        own, other = its[""], its["acme"]
        assert [(len(each.days), each.is_priced) for each in (own, other)] == [(30, True)] * 2
        assert own.daily_budget_usd.value == 40.0
        assert [day.event_count for day in own.days[-3:]] == [0, 1, 3]
        assert [day.event_count for day in other.days[-3:]] == [0, 0, 1]
        # A day's fixed cost is split by events; a day without any is the default tenant's. Of today ten hours have
        # passed.
        for of, shares in ((own, [1, 1, 0.75 * 10 / 24]), (other, [0, 0, 0.25 * 10 / 24])):
            for day, share in zip(of.days[-3:], shares, strict=True):
                told = {part.name: part.usd for part in day.parts}
                assert told == pytest.approx(
                    {"language_models": 2.0, "buffer": day.event_count * 2e-6, "machines": 3.0 * share}
                )
                assert day.usd == pytest.approx(sum(told.values()))
        assert own.usd == pytest.approx(sum(day.usd for day in own.days))
        per = {wire.CostDivisor.Name(each.what).removeprefix("COST_DIVISOR_"): each for each in own.per}
        assert per["THOUSAND_EVENTS"].unit_count == pytest.approx(0.004)
        assert per["DECISION"].usd.value == pytest.approx(own.usd / per["DECISION"].unit_count)
        assert not per["ADDED_CONVERSION"].HasField("usd")
        export = wire.ExportAnswerRequest(costs=wire.CostsQuestion())
        content = b"".join([part.content async for part in at.stub.ExportAnswer(export)]).decode()
        assert len([*csv.DictReader(io.StringIO(content))]) == 30 * 3


@pytest.mark.parametrize(
    "window",
    [
        wire.Window(time_zone="Europe/Berlin"),
        wire.Window(start=timestamp(NOW_US)),
        wire.Window(start=timestamp((NOW_US // DAY_US - 92) * DAY_US)),
    ],
)
async def test_costs_are_of_whole_days_that_are_known(tmp_path: Path, window: wire.Window) -> None:
    async with site(tmp_path) as at:
        with pytest.raises(InvalidArgument):
            await at.stub.AskCosts(wire.AskCostsRequest(question=wire.CostsQuestion(window=window)))
