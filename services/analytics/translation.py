"""Between questions and answers and their messages. Here defaults are filled in and limits are checked."""

import datetime as dt
import enum
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from google.protobuf import timestamp_pb2, wrappers_pb2
from google.protobuf.message import Message
from journeymesh.analytics.v1 import analytics_pb2 as wire
from journeymesh.analytics.v1 import insights_pb2, jobs_pb2, segments_pb2

from mesh.errors import InvalidArgument
from mesh.rpc.timestamps import timestamp
from services.analytics.domain import question as asked
from services.analytics.domain.answer import Receipt
from services.analytics.domain.changes import Change
from services.analytics.domain.costs import Budget
from services.analytics.domain.digest import Digest
from services.analytics.domain.job import Interval, Job, Model
from services.analytics.domain.question import OF_EVENTS, Condition, Conditions, Field, Measure, UserFilter, Window
from services.analytics.domain.segment import Draft, Segment
from services.analytics.domain.watched import BudgetAlarm, WatchedInsight
from services.analytics.ports import MOST_SPENDING_DAYS

_LONGEST: Final = dt.timedelta(days=400)
_MOST_INTERVALS: Final = 1000
_INTERVAL_SECONDS: Final = {
    asked.Interval.HOUR: 3_600,
    asked.Interval.DAY: 86_400,
    asked.Interval.WEEK: 604_800,
    asked.Interval.MONTH: 2_419_200,
}
_MOST_CONDITIONS: Final = 10
_MOST_VALUES: Final = 100
_LONGEST_VALUE: Final = 1024
_LONGEST_NAME: Final = 100
_LONGEST_USER_ID: Final = 128
_LONGEST_EXPERIMENT: Final = 128
_LONGEST_VERSION: Final = 128
_CALIBRATION_DAYS: Final = 60
_DRIFT_DAYS: Final = 30
_MOST_ROWS: Final = 50_000
_INSIGHT_DAYS: Final = 14
_COST_DAYS: Final = 30
_MOST_INSIGHT_DAYS: Final = 90
_PURCHASE: Final = (Condition(Field.EVENT_TYPE, asked.Comparison.IS, ("purchase",)),)
_PAGE_VIEW: Final = (Condition(Field.EVENT_TYPE, asked.Comparison.IS, ("page_view",)),)
_EVERYBODY: Final = UserFilter()
_OF_HELP: Final = frozenset({Measure.SHOWN, Measure.ACCEPTED, Measure.DECLINED, Measure.CONVERTED})
_OF_RISK: Final = frozenset({Measure.STRUGGLES, Measure.USERS_AT_RISK, Measure.OFFERED})
_PLACES: Final = frozenset({Field.PAGE, Field.TARGET, Field.EVENT_TYPE})
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_EARLIEST: Final = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_LATEST: Final = dt.datetime(2200, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_HOUR_US: Final = 3_600_000_000

_Word = TypeVar("_Word", bound=enum.StrEnum)


def kpis_of(of: wire.KpisQuestion, now_us: int) -> asked.Kpis:
    """The question with its defaults.

    Raises:
        InvalidArgument: `VALUE_OUT_OF_RANGE`, `MISSING_FIELD`, `INVALID_TIME`; so do all functions here.
    """
    return asked.Kpis(*_common(of, now_us), conversion=_conditions(of.conversion, "conversion") or _PURCHASE)


def trend_of(of: wire.TrendQuestion, now_us: int) -> asked.Trend:
    """The question with its defaults."""
    window, where, segment = _common(of, now_us)
    measure = _word(asked.Measure, wire.Measure, of.measure, Measure.EVENTS)
    interval = _word(asked.Interval, wire.Interval, of.interval, asked.Interval.DAY)
    breakdown = _field(of.breakdown)
    known = OF_EVENTS | {Field.UNSPECIFIED}
    known |= {Field.CHANNEL} if measure in _OF_HELP | {Measure.OFFERED} else set()
    known |= {Field.LEVEL} if measure in _OF_RISK else set()
    known |= {Field.STRUGGLE} if measure is Measure.STRUGGLES else set()
    _require(breakdown in known, "breakdown", f"one of {', '.join(sorted(filter(None, known)))}, for this measure")
    count = (window.end_us - window.start_us) // (_INTERVAL_SECONDS[interval] * 1_000_000)
    _require(count <= _MOST_INTERVALS, "interval", f"longer: at most {_MOST_INTERVALS} fit in a window")
    return asked.Trend(window, where, segment, measure, interval, breakdown, _number(of, "series_count", 5, 20))


def funnel_of(of: wire.FunnelQuestion, now_us: int) -> asked.Funnel:
    """The question with its defaults."""
    window, where, segment = _common(of, now_us)
    _require(2 <= len(of.steps) <= 12, "steps", "2 to 12")
    breakdown = _field(of.breakdown)
    _require(breakdown in OF_EVENTS | {Field.UNSPECIFIED}, "breakdown", "a field that every event has")
    return asked.Funnel(
        window,
        where,
        segment,
        tuple(map(_step, of.steps)),
        _word(asked.FunnelStart, wire.FunnelStart, of.start, asked.FunnelStart.ANY),
        _number(of, "within_seconds", 86_400, 31_536_000),
        breakdown,
        _number(of, "series_count", 5, 20),
    )


def retention_of(of: wire.RetentionQuestion, now_us: int) -> asked.Retention:
    """The question with its defaults."""
    period = _word(asked.Interval, wire.Interval, of.period, asked.Interval.DAY)
    _require(period is not asked.Interval.HOUR, "period", "day, week or month")
    days = _word(asked.DayKind, wire.DayKind, of.days, asked.DayKind.CALENDAR)
    cohorts = _word(asked.CohortKind, wire.CohortKind, of.cohorts, asked.CohortKind.FIRST_TIME)
    is_fit = days is asked.DayKind.CALENDAR or cohorts is asked.CohortKind.FIRST_TIME
    _require(is_fit, "cohorts", "first_time with rolling days")
    return asked.Retention(
        _window(of, now_us),
        (),
        _segment(of.segment),
        _conditions(of.joins, "joins"),
        _conditions(of.returns, "returns"),
        period,
        _number(of, "period_count", 7, 60),
        days,
        cohorts,
    )


def paths_of(of: wire.PathsQuestion, now_us: int) -> asked.Paths:
    """The question with its defaults."""
    window, where, segment = _common(of, now_us)
    place = _field(of.place) or Field.PAGE
    _require(place in _PLACES, "place", "page, target or event_type")
    _require(len(of.start_place) <= _LONGEST_VALUE, "startPlace", f"up to {_LONGEST_VALUE} characters")
    columns = _number(of, "column_count", 5, 10)
    _require(columns >= 2, "columnCount", "2 to 10")
    return asked.Paths(
        window,
        where or _PAGE_VIEW,
        segment,
        place,
        of.start_place,
        _word(asked.Direction, wire.Direction, of.direction, asked.Direction.FORWARD),
        columns,
        _number(of, "place_count", 8, 30),
    )


def struggles_of(of: wire.StrugglesQuestion, now_us: int) -> asked.Struggles:
    """The question with its defaults."""
    return asked.Struggles(*_common(of, now_us), limit=_number(of, "limit", 50, 1000))


def journey_of(of: wire.JourneyQuestion, now_us: int) -> asked.Journey:
    """The question with its defaults."""
    if not of.user_id:
        raise InvalidArgument("MISSING_FIELD", "It needs `userId`.")
    _require(len(of.user_id) <= _LONGEST_USER_ID, "userId", f"up to {_LONGEST_USER_ID} characters")
    return asked.Journey(_window(of, now_us), (), _EVERYBODY, of.user_id, _number(of, "limit", 500, 5000))


def listing_of(of: wire.ListQuestion, now_us: int) -> asked.Listing:
    """The question with its defaults."""
    window, where, segment = _common(of, now_us)
    kind = _word(asked.ListKind, wire.ListKind, of.kind, asked.ListKind.USERS)
    limit = _number(of, "limit", 100, _MOST_ROWS)
    if kind not in {asked.ListKind.DROP_OFFS, asked.ListKind.CONVERSIONS}:
        _require(not of.HasField("funnel") and not of.step, "funnel", "absent, unless the list is one of a funnel")
        return asked.Listing(window, where, segment, kind, None, 0, limit)
    if not of.HasField("funnel"):
        raise InvalidArgument("MISSING_FIELD", "A list of a funnel needs `funnel`.")
    is_alone = not of.where and not of.HasField("segment") and not of.funnel.HasField("window")
    _require(is_alone, "funnel", "what says `where` and `segment`, and the question what says `window`")
    steps = wire.FunnelQuestion()
    steps.CopyFrom(of.funnel)
    steps.window.CopyFrom(of.window)
    funnel = funnel_of(steps, now_us)
    last = len(funnel.steps) - (kind is asked.ListKind.DROP_OFFS)
    _require(1 <= of.step <= last, "step", f"1 to {last}")
    return asked.Listing(window, (), _EVERYBODY, kind, funnel, of.step, limit)


def effect_of(of: wire.EffectQuestion, now_us: int) -> asked.Effect:
    """The question with its defaults."""
    _require(len(of.experiment) <= _LONGEST_EXPERIMENT, "experiment", f"up to {_LONGEST_EXPERIMENT} characters")
    conversion = _conditions(of.conversion, "conversion") or _PURCHASE
    within_seconds = _number(of, "within_seconds", 604_800, 2_592_000)
    return asked.Effect(*_common(of, now_us), conversion, within_seconds, of.experiment)


def calibration_of(of: wire.CalibrationQuestion, now_us: int) -> asked.Calibration:
    """The question with its defaults."""
    _require(len(of.model_version) <= _LONGEST_VERSION, "modelVersion", f"up to {_LONGEST_VERSION} characters")
    interval = _word(asked.Interval, wire.Interval, of.interval, asked.Interval.WEEK)
    _require(interval is not asked.Interval.HOUR, "interval", "day, week or month")
    window = _window(of, now_us, _CALIBRATION_DAYS)
    where, segment = _conditions(of.where, "where"), _segment(of.segment)
    silent_days = _number(of, "silent_days", 0, asked.MOST_SILENT_DAYS) if of.silent_days else 0
    return asked.Calibration(window, where, segment, of.model_version, interval, silent_days)


def drift_of(of: wire.DriftQuestion, now_us: int) -> asked.Drift:
    """The question with its defaults."""
    _require(len(of.model_version) <= _LONGEST_VERSION, "modelVersion", f"up to {_LONGEST_VERSION} characters")
    window = _window(of, now_us, _DRIFT_DAYS)
    return asked.Drift(window, _conditions(of.where, "where"), _segment(of.segment), of.model_version)


def insights_of(of: wire.InsightsQuestion, now_us: int) -> asked.Insights:
    """The question with its defaults."""
    window = _window(of, now_us, _INSIGHT_DAYS)
    # Where clocks are turned back, 90 days have an hour more.
    is_short = window.end_us - window.start_us <= _MOST_INSIGHT_DAYS * asked.DAY_US + _HOUR_US
    _require(is_short, "end", f"at most {_MOST_INSIGHT_DAYS} days after `start`")
    where, segment = _conditions(of.where, "where"), _segment(of.segment)
    conversion = _conditions(of.conversion, "conversion") or _PURCHASE
    return asked.Insights(window, where, segment, conversion, _number(of, "limit", 50, 500))


def costs_of(of: wire.CostsQuestion, now_us: int) -> asked.Costs:
    """The question with its defaults."""
    window = _window(of, now_us, _COST_DAYS)
    is_whole = window.time_zone == "UTC" and not window.start_us % asked.DAY_US and not window.end_us % asked.DAY_US
    _require(is_whole, "window", "of whole days of UTC")
    is_kept = now_us // asked.DAY_US - window.start_us // asked.DAY_US < MOST_SPENDING_DAYS
    _require(is_kept, "start", f"less than {MOST_SPENDING_DAYS} days ago")
    conversion = _conditions(of.conversion, "conversion") or _PURCHASE
    within_seconds = _number(of, "within_seconds", 604_800, 2_592_000)
    _require(len(of.experiment) <= _LONGEST_EXPERIMENT, "experiment", f"up to {_LONGEST_EXPERIMENT} characters")
    return asked.Costs(window, (), _EVERYBODY, conversion, within_seconds, of.experiment)


class _Answering(NamedTuple):
    read: Callable[[Any, int], asked.Question]
    answer: type[Message]


EXPORTED: Final = {
    "kpis": _Answering(kpis_of, wire.AskKpisResponse),
    "trend": _Answering(trend_of, wire.AskTrendResponse),
    "funnel": _Answering(funnel_of, wire.AskFunnelResponse),
    "retention": _Answering(retention_of, wire.AskRetentionResponse),
    "paths": _Answering(paths_of, wire.AskPathsResponse),
    "struggles": _Answering(struggles_of, wire.AskStrugglesResponse),
    "journey": _Answering(journey_of, wire.AskJourneyResponse),
    "list": _Answering(listing_of, wire.AskListResponse),
    "effect": _Answering(effect_of, wire.AskEffectResponse),
    "calibration": _Answering(calibration_of, wire.AskCalibrationResponse),
    "drift": _Answering(drift_of, wire.AskDriftResponse),
    "insights": _Answering(insights_of, wire.AskInsightsResponse),
    "costs": _Answering(costs_of, wire.AskCostsResponse),
}
"""How the questions of an export are read, and the messages of their answers."""


def fill(message: Message, value: Any) -> None:  # noqa: ANN401 - an answer or a part of one
    """Sets the members of a message from those of an answer: names are the same, but that times end in `_us` here."""
    for name, member in zip(value._fields, value, strict=True):
        field: Any = message.DESCRIPTOR.fields_by_name.get(name) or message.DESCRIPTOR.fields_by_name[name[:-3]]
        if member is None or (name != field.name and not member):
            continue
        if field.is_repeated and field.message_type is not None:
            for item in member:
                fill(getattr(message, field.name).add(), item)
        elif field.is_repeated:
            getattr(message, field.name).extend(member)
        elif field.message_type is None:
            setattr(message, field.name, (field.enum_type and _number_of(field.enum_type, member)) or member)
        elif field.message_type.full_name == timestamp_pb2.Timestamp.DESCRIPTOR.full_name:
            getattr(message, field.name).CopyFrom(timestamp(member))
        elif field.message_type.full_name == wrappers_pb2.DoubleValue.DESCRIPTOR.full_name:
            getattr(message, field.name).value = member
        else:
            getattr(message, field.name).SetInParent()
            fill(getattr(message, field.name), member)


def receipt_of(receipt: Receipt) -> wire.AnswerReceipt:
    """The receipt as a message."""
    message = wire.AnswerReceipt()
    fill(message, receipt)
    return message


def fill_receipt(response: Any, receipt: Receipt) -> None:  # noqa: ANN401 - any response
    """Sets the receipt of an answer."""
    response.receipt.CopyFrom(receipt_of(receipt))


def _number_of(enumeration: Any, word: str) -> int:  # noqa: ANN401 - protobuf's own
    prefix = enumeration.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return int(enumeration.values_by_name[f"{prefix}{word.upper()}"].number)


def _common(of: Any, now_us: int) -> tuple[Window, Conditions, UserFilter]:  # noqa: ANN401 - any question
    return _window(of, now_us), _conditions(of.where, "where"), _segment(of.segment)


def _window(of: Any, now_us: int, day_count: int = 7) -> Window:  # noqa: ANN401 - any question
    its: wire.Window = of.window
    name = its.time_zone or "UTC"
    try:
        zone = zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        raise InvalidArgument(
            "VALUE_OUT_OF_RANGE", "`timeZone` must be an IANA name such as `Europe/Berlin`."
        ) from None
    today = (_EPOCH + now_us * _MICROSECOND).astimezone(zone).date()
    end = _time(its.end) if its.HasField("end") else _midnight(today + dt.timedelta(days=1), zone)
    last = (end - _MICROSECOND).astimezone(zone).date()
    start = _time(its.start) if its.HasField("start") else _midnight(last - dt.timedelta(days=day_count - 1), zone)
    _require(start < end, "start", "before `end`")
    _require(end - start <= _LONGEST, "end", f"at most {_LONGEST.days} days after `start`")
    return Window((start - _EPOCH) // _MICROSECOND, (end - _EPOCH) // _MICROSECOND, name)


def _time(of: timestamp_pb2.Timestamp) -> dt.datetime:
    try:
        time = of.ToDatetime(tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        time = _LATEST
    if not _EARLIEST <= time < _LATEST:
        raise InvalidArgument("INVALID_TIME", "A time must lie between the years 2000 and 2200.")
    return time


def _midnight(day: dt.date, zone: dt.tzinfo) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)


def _step(of: wire.Step) -> asked.Step:
    if not of.where:
        raise InvalidArgument("MISSING_FIELD", "A step needs `where`.")
    _require(len(of.name) <= _LONGEST_NAME, "name", f"up to {_LONGEST_NAME} characters")
    where = _conditions(of.where, "where")
    said = " · ".join(" | ".join(each.values) for each in where)
    return asked.Step(of.name or said[:_LONGEST_NAME], where)


def _segment(of: wire.UserFilter) -> UserFilter:
    _require(len(of.saved) <= _LONGEST_NAME, "saved", f"up to {_LONGEST_NAME} characters")
    at_least = _word(asked.Level, wire.Level, of.at_least, asked.Level.UNSPECIFIED)
    return UserFilter(_conditions(of.did, "did"), _conditions(of.did_not, "didNot"), at_least, of.saved)


def draft_of(of: segments_pb2.SegmentDraft) -> Draft:
    """What somebody says of a segment."""
    return Draft(of.name, of.description, _segment(of.users))


def segment_message(of: Segment) -> segments_pb2.SavedSegment:
    """A saved segment as a message."""
    users = wire.UserFilter(
        did=map(_condition_message, of.users.did),
        did_not=map(_condition_message, of.users.did_not),
        at_least=wire.Level.Value(f"LEVEL_{of.users.at_least.name}"),
    )
    return segments_pb2.SavedSegment(
        segment_id=of.segment_id,
        name=of.name,
        description=of.description,
        users=users,
        revision=of.revision,
        created_time=timestamp(of.created_us),
        changed_time=timestamp(of.changed_us),
    )


def watched_message(of: WatchedInsight) -> insights_pb2.WatchedInsight:
    """An incident that the watch knows as a message."""
    message = insights_pb2.WatchedInsight()
    fill(message, of)
    return message


def alarm_message(of: BudgetAlarm) -> insights_pb2.BudgetAlarm:
    """An alarm of a budget as a message."""
    message = insights_pb2.BudgetAlarm()
    fill(message, of)
    return message


def change_of(of: insights_pb2.NoteChangeRequest) -> Change:
    """A change that somebody notes; its time is 0 where none is said.

    Raises:
        InvalidArgument: `INVALID_TIME`.
    """
    known = insights_pb2.ChangeKind.DESCRIPTOR.values_by_number.get(int(of.what)) if of.what else None
    kind = known.name.removeprefix("CHANGE_KIND_").lower() if known else ""
    return Change(time_of(of.time) if of.HasField("time") else 0, kind, of.name, of.detail, of.by)


def change_message(of: Change) -> insights_pb2.Change:
    """A change as a message."""
    message = insights_pb2.Change()
    fill(message, of)
    return message


def budget_message(of: Budget) -> wire.Budget:
    """A budget as a message."""
    message = wire.Budget(used_today_usd=of.used_today_usd)
    for name, usd in (
        ("own_daily_usd", of.own and of.own.daily_usd),
        ("operator_daily_usd", of.operator_daily_usd),
        ("daily_usd", of.daily_usd),
        ("used_share", of.used_share),
    ):
        if usd is not None:
            getattr(message, name).value = usd
    if of.own is not None:
        message.set_by = of.own.set_by
        message.set_time.CopyFrom(timestamp(of.own.set_us))
    return message


def day_of(text: str) -> dt.date | None:
    """A day as somebody says it; None: nobody did.

    Raises:
        InvalidArgument: `INVALID_TIME`.
    """
    try:
        day = dt.datetime.strptime(text, "%Y-%m-%d").date() if text else None  # noqa: DTZ007 - of any zone
    except ValueError:
        raise InvalidArgument("INVALID_TIME", "`day` must be a day such as `2026-11-28`.") from None
    if day is not None and not _EARLIEST.date() <= day < _LATEST.date():
        raise InvalidArgument("INVALID_TIME", "`day` must lie between the years 2000 and 2200.")
    return day


def digest_message(of: Digest) -> insights_pb2.GetInsightsDigestResponse:
    """What a day brought as a message."""
    message = insights_pb2.GetInsightsDigestResponse()
    fill(message, of)
    return message


def job_message(of: Job) -> jobs_pb2.Job:
    """A job as a message."""
    return jobs_pb2.Job(
        job_id=of.job_id,
        kind=kind_number(of.kind),
        state=jobs_pb2.JobState.Value(f"JOB_STATE_{of.state.upper()}"),
        step=of.step,
        progress=of.progress,
        attempt_count=of.attempt_count,
        created_time=timestamp(of.created_us),
        started_time=timestamp(of.started_us) if of.started_us else None,
        ended_time=timestamp(of.ended_us) if of.ended_us else None,
        reason=of.reason,
        detail=of.detail,
        counts=of.counts,
        started_by=jobs_pb2.JobStart.Value(f"JOB_START_{of.started_by.upper()}"),
        training=_training_message(of.options) if of.options else None,
        model=_model_message(of.model) if of.model else None,
    )


def training_of(of: jobs_pb2.TrainingOptions) -> dict[str, str]:
    """The options of a training, as the job keeps them."""
    said = {True: "yes", False: "no"}
    return {"label": " ".join(of.label.split()), "promote": said[of.promote], "directions": said[of.is_directed]}


def _training_message(of: Mapping[str, str]) -> jobs_pb2.TrainingOptions:
    return jobs_pb2.TrainingOptions(
        label=of["label"], promote=of["promote"] == "yes", is_directed=of["directions"] == "yes"
    )


def _model_message(of: Model) -> jobs_pb2.TrainedModel:
    return jobs_pb2.TrainedModel(
        model_version=of.version,
        is_live=of.is_live,
        gate=jobs_pb2.GateVerdict.Value(f"GATE_VERDICT_{of.gate.upper()}"),
        brier_difference=_figure_message(of.difference) if of.difference else None,
        measured_on=of.measured_on,
        figures={name: _figure_message(each) for name, each in of.figures.items()},
        remark=of.remark,
    )


def _figure_message(of: Interval) -> jobs_pb2.TrainedFigure:
    return jobs_pb2.TrainedFigure(value=of.value, lower=of.low, upper=of.high)


def kind_number(of: str) -> jobs_pb2.JobKind.ValueType:
    """The kind of a job, as it is on the wire."""
    return jobs_pb2.JobKind.Value(f"JOB_KIND_{of.upper()}")


def kind_of(of: jobs_pb2.JobKind.ValueType) -> str:
    """The kind of a job; empty if it is none that this version knows."""
    known = jobs_pb2.JobKind.DESCRIPTOR.values_by_number.get(int(of))
    return known.name.removeprefix("JOB_KIND_").lower() if known else ""


def time_of(of: timestamp_pb2.Timestamp) -> int:
    """A time in Unix microseconds.

    Raises:
        InvalidArgument: `INVALID_TIME`.
    """
    return (_time(of) - _EPOCH) // _MICROSECOND


def _condition_message(of: Condition) -> wire.Condition:
    return wire.Condition(
        field=wire.Field.Value(f"FIELD_{of.field.upper()}"),
        comparison=wire.Comparison.Value(f"COMPARISON_{of.comparison.upper()}"),
        values=of.values,
    )


def _conditions(of: Sequence[wire.Condition], name: str) -> Conditions:
    _require(len(of) <= _MOST_CONDITIONS, name, f"up to {_MOST_CONDITIONS} conditions")
    return tuple(map(_condition, of))


def _condition(of: wire.Condition) -> Condition:
    field = _field(of.field)
    _require(field in OF_EVENTS, "field", f"one of {', '.join(sorted(OF_EVENTS))}")
    _require(1 <= len(of.values) <= _MOST_VALUES, "values", f"1 to {_MOST_VALUES} texts")
    _require(all(len(each) <= _LONGEST_VALUE for each in of.values), "values", f"of up to {_LONGEST_VALUE} characters")
    comparison = _word(asked.Comparison, wire.Comparison, of.comparison, asked.Comparison.IS)
    return Condition(field, comparison, tuple(sorted(set(of.values))))


def _field(number: int) -> Field:
    return _word(Field, wire.Field, number, Field.UNSPECIFIED)


def _word(words: type[_Word], names: Any, number: int, default: _Word) -> _Word:  # noqa: ANN401 - protobuf's own
    """The word of an enum's value; the default for the one that says nothing."""
    if not number:
        return default
    found = names.DESCRIPTOR.values_by_number.get(number)
    prefix = names.DESCRIPTOR.values_by_number[0].name.removesuffix("UNSPECIFIED")
    if found is None:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "A word is none that is known.")
    return words(found.name.removeprefix(prefix).lower())


def _number(of: Any, name: str, default: int, most: int) -> int:  # noqa: ANN401 - any question
    number = int(getattr(of, name)) or default
    _require(1 <= number <= most, of.DESCRIPTOR.fields_by_name[name].json_name, f"1 to {most:,}")
    return number


def _require(is_fit: bool, name: str, wanted: str) -> None:  # noqa: FBT001 - what is required
    if not is_fit:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`{name}` must be {wanted}.")
