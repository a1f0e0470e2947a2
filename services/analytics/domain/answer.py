"""Answers. Members are those of `journeymesh.analytics.v1`, which says what they mean; times are Unix microseconds."""

from typing import NamedTuple


class Kpi(NamedTuple):
    """A figure."""

    name: str
    of: str
    value: float | None
    previous_value: float | None


class Kpis(NamedTuple):
    """Key figures."""

    kpis: tuple[Kpi, ...]


class Point(NamedTuple):
    """A figure in one interval."""

    start_us: int
    value: float
    is_unfinished: bool


class Series(NamedTuple):
    """A figure over time."""

    name: str
    is_other: bool
    total: float
    points: tuple[Point, ...]


class Trend(NamedTuple):
    """Figures over time."""

    series: tuple[Series, ...]


class StepFigure(NamedTuple):
    """How far users came."""

    name: str
    user_count: int
    share_of_first: float
    share_of_previous: float
    median_seconds: float | None
    p90_seconds: float | None


class Steps(NamedTuple):
    """A funnel of all users or of some."""

    name: str
    is_other: bool
    steps: tuple[StepFigure, ...]


class Funnel(NamedTuple):
    """A funnel, and its breakdown."""

    funnels: tuple[Steps, ...]


class ReturnFigure(NamedTuple):
    """How many of a cohort came back in one period."""

    user_count: int
    share: float
    is_unfinished: bool


class Cohort(NamedTuple):
    """Users who began in the same period."""

    start_us: int
    user_count: int
    returns: tuple[ReturnFigure, ...]


class Retention(NamedTuple):
    """Who comes back."""

    cohorts: tuple[Cohort, ...]


class PathPlace(NamedTuple):
    """A place in a column; the kind is `place`, `other` or `left`."""

    column: int
    name: str
    kind: str
    session_count: int


class PathLink(NamedTuple):
    """Sessions that went from one place to another."""

    from_place: int
    to_place: int
    session_count: int


class Paths(NamedTuple):
    """Which ways sessions take."""

    places: tuple[PathPlace, ...]
    links: tuple[PathLink, ...]


class Struggle(NamedTuple):
    """A kind of struggle at one place."""

    kind: str
    page: str
    target: str
    struggle_count: int
    user_count: int
    offered_count: int
    last_time_us: int


class Struggles(NamedTuple):
    """Where users struggle."""

    struggles: tuple[Struggle, ...]


class JourneyIndicator(NamedTuple):
    """What contributed to a risk."""

    name: str
    contribution: float
    reason: str


class Alternative(NamedTuple):
    """An action that was considered."""

    action: str
    channel: str
    success_probability: float
    refusal: str
    is_chosen: bool


class JourneyEvent(NamedTuple):
    """What a user did."""

    event_id: str
    event_type: str
    page: str
    target: str
    error_code: str
    platform: str
    device_class: str
    video_id: str
    intervention_id: str
    outcome: str


class JourneyDecision(NamedTuple):
    """What was decided about a user."""

    decision_id: str
    event_id: str
    kind: str
    reasons: tuple[str, ...]
    score: float
    level: str
    indicators: tuple[JourneyIndicator, ...]
    struggles: tuple[str, ...]
    intervention_id: str
    explanation: str
    alternatives: tuple[Alternative, ...]
    policy_version: str


class JourneyEntry(NamedTuple):
    """A moment of a journey: an event or a decision."""

    time_us: int
    begins_session: bool
    event: JourneyEvent | None
    decision: JourneyDecision | None


class Journey(NamedTuple):
    """A user's journey."""

    entries: tuple[JourneyEntry, ...]


class ListRow(NamedTuple):
    """A user or a decision."""

    user_id: str
    time_us: int
    page: str = ""
    target: str = ""
    event_count: int = 0
    score: float | None = None
    level: str = ""
    reason: str = ""
    decision_id: str = ""
    intervention_id: str = ""
    outcome: str = ""


class Listing(NamedTuple):
    """Users or decisions, and how many there are in all."""

    rows: tuple[ListRow, ...]
    total_count: int


class HelpEffect(NamedTuple):
    """What help changed of one figure."""

    name: str
    of: str
    treated: float | None
    holdout: float | None
    difference: float | None
    lower: float | None
    upper: float | None


class Effect(NamedTuple):
    """What help changed."""

    effects: tuple[HelpEffect, ...]
    experiment: str
    treated_count: int
    holdout_count: int


class CalibrationFigure(NamedTuple):
    """A measure and its 95% interval."""

    value: float
    lower: float
    upper: float


class CalibrationBin(NamedTuple):
    """Predictions of similar probability."""

    predicted: float
    came_true: CalibrationFigure
    known_count: int
    user_count: int


class CalibrationSpan(NamedTuple):
    """The predictions of the window or of one interval."""

    start_us: int
    is_whole: bool
    prediction_count: int
    waiting_count: int
    known_count: int
    user_count: int
    predicted: float | None
    came_true: float | None
    gap: CalibrationFigure | None
    error: CalibrationFigure | None
    bins: tuple[CalibrationBin, ...]
    told_count: int


class VersionCount(NamedTuple):
    """How many predictions a model made."""

    model_version: str
    prediction_count: int


class Calibration(NamedTuple):
    """Whether what the model said came true."""

    spans: tuple[CalibrationSpan, ...]
    model_version: str
    versions: tuple[VersionCount, ...]
    one_in: int
    least_count: int
    outcome: str
    silent_days: int
    is_other_outcome: bool


class DriftItem(NamedTuple):
    """A score, or what gave reasons for one, in two windows; the kind is `score` or `reason`."""

    kind: str
    name: str
    psi: float
    distance: float
    moved: float
    previous_mean: float
    mean: float
    previous_share: float
    share: float
    is_notable: bool


class DriftSide(NamedTuple):
    """The predictions of one window."""

    prediction_count: int
    user_count: int
    at_risk_share: float | None
    offered_share: float | None


class Drift(NamedTuple):
    """What moved."""

    items: tuple[DriftItem, ...]
    model_version: str
    previous: DriftSide
    current: DriftSide
    one_in: int
    least_user_count: int


class InsightPoint(NamedTuple):
    """A metric in one hour, and what was usual then."""

    start_us: int
    observed: float
    expected: float | None
    lower: float | None
    upper: float | None


class InsightPart(NamedTuple):
    """An incident of one metric; the figures are those of the hour that was furthest off."""

    metric: str
    opened_us: int
    closed_us: int | None
    direction: str
    peak_us: int
    observed: float
    expected: float
    lower: float
    upper: float
    distance: float
    points: tuple[InsightPoint, ...]


class Insight(NamedTuple):
    """Incidents whose times overlap."""

    opened_us: int
    closed_us: int | None
    severity: str
    affected_user_hours: float
    parts: tuple[InsightPart, ...]


class WatchedMetric(NamedTuple):
    """A metric that was watched."""

    metric: str
    total: float
    judged_hour_count: int
    incident_count: int


class Insights(NamedTuple):
    """When key figures were unusual."""

    incidents: tuple[Insight, ...]
    total_count: int
    metrics: tuple[WatchedMetric, ...]
    known_since_us: int | None
    needed_days: int


class InsightSlice(NamedTuple):
    """A value of a field, or a pair of values, that explains why a metric was off.

    Counted are the hours that were furthest off.
    """

    metric: str
    field: str
    value: str
    observed: float
    expected: float
    contribution: float
    """Observed minus expected, over that of the whole metric: 1 explains all, more is made up for elsewhere."""
    surprise: float
    """How much its share of the field, of a pair that of the metric, has changed, 0 to ln 2 / 2 (Jensen-Shannon)."""
    second_field: str = ""
    """Of a pair, whose field; else empty, as the value is."""
    second_value: str = ""


class Money(NamedTuple):
    """An amount of a currency."""

    currency: str
    amount: float


class Slices(NamedTuple):
    """What explains an incident, the most surprising first, metric by metric."""

    slices: tuple[InsightSlice, ...]
    usual_money: tuple[Money, ...]
    """What a user who converts in an hour spends then, by currency: the mean of the weeks before."""
    buyer_share: float
    """How many of the users of an hour convert then, 0 to 1, in the weeks before."""


class CostPart(NamedTuple):
    """What a part of the mesh cost."""

    name: str
    usd: float


class CostDay(NamedTuple):
    """What the mesh cost on a day."""

    start_us: int
    event_count: int
    decision_count: int
    usd: float
    parts: tuple[CostPart, ...]


class CostPer(NamedTuple):
    """What one of something cost, and between which amounts that is; None where not enough is known."""

    what: str
    unit_count: float
    usd: float | None
    lower_usd: float | None
    upper_usd: float | None


class Costs(NamedTuple):
    """What the mesh cost, and what each result of it cost. `is_priced`: prices of parts are known.

    `daily_budget_usd` is what a day of the tenant may cost before it is reported; None: nothing was said.
    """

    days: tuple[CostDay, ...]
    usd: float
    parts: tuple[CostPart, ...]
    per: tuple[CostPer, ...]
    is_priced: bool
    daily_budget_usd: float | None = None


Answer = (
    Kpis
    | Trend
    | Funnel
    | Retention
    | Paths
    | Struggles
    | Journey
    | Listing
    | Effect
    | Calibration
    | Drift
    | Insights
    | Slices
    | Costs
)


class Receipt(NamedTuple):
    """What an answer rests on."""

    question: str
    start_us: int
    end_us: int
    watermark_us: int
    is_unfinished: bool
    row_count: int
    data_version: str
    sha256: str
    is_cut: bool
