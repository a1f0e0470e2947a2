"""What comes after the archive counts as if it were in it: each event once, whatever is archived meanwhile."""

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.analytics.adapters.copies import staging
from services.analytics.adapters.questions.kept import Tenants
from services.analytics.adapters.questions.worker import answered
from services.analytics.adapters.tasks import Count
from services.analytics.domain import layout
from services.analytics.domain.answer import Answer
from services.analytics.domain.layout import DECISIONS, EVENTS, Partition
from services.analytics.domain.question import (
    DAY_US,
    Calibration,
    CohortKind,
    DayKind,
    Direction,
    Drift,
    Effect,
    Field,
    Funnel,
    FunnelStart,
    Insights,
    Interval,
    Journey,
    Kpis,
    Level,
    Listing,
    ListKind,
    Measure,
    Paths,
    Question,
    Retention,
    Step,
    Struggles,
    Trend,
    UserFilter,
)
from services.analytics.ports import Reading
from tests.analytics.rows import EVERYBODY, WINDOW, Decision, Event, asking, journeys, where
from tests.analytics.test_summed import LATER_US, decided, written

PURCHASE = where(Field.EVENT_TYPE, "purchase")
VIEWS = where(Field.EVENT_TYPE, "page_view", "click")
ON_A = where(Field.PAGE, "/a")
AT_RISK = UserFilter(did=VIEWS, at_least=Level.HIGH)
FUNNEL = Funnel(WINDOW, (), EVERYBODY, (Step("a", VIEWS), Step("b", ON_A)), FunnelStart.ANY, 7200, Field.UNSPECIFIED, 5)
QUESTIONS: tuple[Question, ...] = (
    Kpis(WINDOW, (), EVERYBODY, PURCHASE),
    Kpis(WINDOW, ON_A, AT_RISK, PURCHASE),
    *(Trend(WINDOW, (), EVERYBODY, each, Interval.DAY, Field.UNSPECIFIED, 5) for each in Measure),
    Trend(WINDOW, (), EVERYBODY, Measure.EVENTS, Interval.DAY, Field.PLATFORM, 5),
    FUNNEL,
    Retention(WINDOW, (), EVERYBODY, VIEWS, VIEWS, Interval.DAY, 3, DayKind.CALENDAR, CohortKind.FIRST_TIME),
    Retention(WINDOW, (), EVERYBODY, VIEWS, PURCHASE, Interval.DAY, 3, DayKind.ROLLING, CohortKind.RECURRING),
    Paths(WINDOW, (), EVERYBODY, Field.PAGE, "", Direction.FORWARD, 3, 5),
    Struggles(WINDOW, (), EVERYBODY, 50),
    *(Journey(WINDOW, (), EVERYBODY, user, 100) for user in "ab"),
    Listing(WINDOW, (), EVERYBODY, ListKind.USERS, None, 0, 50),
    Listing(WINDOW, (), EVERYBODY, ListKind.USERS_AT_RISK, None, 0, 50),
    Listing(WINDOW, (), EVERYBODY, ListKind.OFFERS, None, 0, 50),
    Listing(WINDOW, (), EVERYBODY, ListKind.DROP_OFFS, FUNNEL, 1, 50),
    Effect(WINDOW, (), EVERYBODY, PURCHASE, 7200, ""),
    Calibration(WINDOW, (), EVERYBODY, "", Interval.DAY, 1),
    Drift(WINDOW, (), EVERYBODY, ""),
    Insights(WINDOW, (), EVERYBODY, PURCHASE, 50),
)
NOTHING: dict[str, list[str]] = {EVENTS: [], DECISIONS: []}


def shown(root: Path, events: Sequence[Event], decisions: Sequence[Decision], name: str = "1") -> dict[str, list[str]]:
    """Writes rows as the tail of their days; returns the paths."""
    query = asking(events, decisions)
    found: dict[str, list[str]] = {EVENTS: [], DECISIONS: []}
    for kind, rows in ((EVENTS, events), (DECISIONS, decisions)):
        for day in sorted({each.t // DAY_US for each in rows}):
            path = layout.tail_path(Partition("", day), f"{kind}-{name}.parquet")
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            query.rows(
                f"COPY (SELECT * EXCLUDE (place) FROM all_{kind} WHERE epoch_us(event_time) // {DAY_US} = {day} "
                f"ORDER BY {staging.ORDER}) TO '{root / path}'"
            )
            found[kind].append(path)
    return found


def asked(
    tenants: Tenants, root: Path, question: Question, paths: dict[str, list[str]], tail: dict[str, list[str]]
) -> Answer:
    days = layout.days(question.read_from_us, question.read_to_us)

    def within(some: Sequence[str]) -> tuple[str, ...]:
        return tuple(path for path in some if layout.day_of(path) in days)

    its = [within(some[kind]) for some in (paths, tail) for kind in (EVENTS, DECISIONS)]
    reading = Reading(question, "", its[0], its[1], LATER_US, True, its[2], its[3])
    return answered(tenants, Count(str(root), reading))


@settings(max_examples=3, phases=(Phase.generate,), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(journeys(), decided(), st.data())
def test_every_answer_is_the_same_however_rows_are_split(
    events: list[Event], decisions: list[Decision], data: st.DataObject
) -> None:
    late = data.draw(st.sets(st.sampled_from([each.event_id for each in events]))) if events else set()
    later = data.draw(st.sets(st.sampled_from([each.decision_id for each in decisions]))) if decisions else set()
    before = [each for each in events if each.event_id not in late]
    decided_before = [each for each in decisions if each.decision_id not in later]
    after = [each for each in events if each.event_id in late]
    decided_after = [each for each in decisions if each.decision_id in later]
    questions = data.draw(st.permutations(QUESTIONS))[:8]
    with (
        tempfile.TemporaryDirectory() as whole,
        tempfile.TemporaryDirectory() as split,
        contextlib.closing(Tenants()) as tenants,
    ):
        every = written(Path(whole), events, decisions)
        expected = [asked(tenants, Path(whole), question, every, NOTHING) for question in questions]
        paths, tail = written(Path(split), before, decided_before), shown(Path(split), after, decided_after)
        assert [asked(tenants, Path(split), question, paths, tail) for question in questions] == expected
        paths = written(Path(split), events, decisions, "2")
        assert [asked(tenants, Path(split), question, paths, NOTHING) for question in questions] == expected
