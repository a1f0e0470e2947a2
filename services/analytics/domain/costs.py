"""What the mesh cost: counters times prices, and language models as they were billed. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from services.analytics.domain.answer import CostDay, CostPart, CostPer, Costs, HelpEffect
from services.analytics.domain.question import DayOfUse, Price

LANGUAGE_MODELS: Final = "language_models"
"""The part that needs no price: each call was counted with its cost."""
_MILLION: Final = 1_000_000
_CONVERSIONS: Final = "conversion_rate"
LEAST_USD: Final = 1e-6
"""The lowest budget: language models are counted in millionths of a dollar."""
MOST_USD: Final = 1e9
"""The highest budget."""


def costs(
    days: Sequence[DayOfUse],
    prices: Sequence[Price],
    offer_count: int,
    treated_count: int,
    effects: Sequence[HelpEffect],
    budget_usd: float | None = None,
) -> Costs:
    """What a tenant's days cost, by part, and what each result of them cost, such as a decision.

    Args:
        days: in order of time.
        prices: in the order in which parts are told, after language models.
        offer_count: offers of help on these days.
        treated_count: users who were treated.
        effects: what help changed; of them the rate of conversions counts.
        budget_usd: what a day may cost; None: there is no limit.
    """
    told = [_day(day, prices) for day in days]
    names = [LANGUAGE_MODELS, *(price.name for price in prices)]
    parts = tuple(CostPart(name, sum(day.parts[at].usd for day in told)) for at, name in enumerate(names))
    usd = sum(part.usd for part in parts)
    counts: Mapping[str, int] = {
        "thousand_events": sum(day.event_count for day in days),
        "decision": sum(day.decision_count for day in days),
        "offer": offer_count,
    }
    per = [_exactly(what, count / (1000 if what == "thousand_events" else 1), usd) for what, count in counts.items()]
    rate = next((each for each in effects if each.name == _CONVERSIONS), None)
    return Costs(tuple(told), usd, parts, (*per, _added(rate, treated_count, usd)), bool(prices), budget_usd)


class OwnBudget(NamedTuple):
    """What a tenant set for its days, in US dollars; `set_by` is a key's id or a person, empty: nobody knows who."""

    daily_usd: float
    set_by: str
    set_us: int


class Budget(NamedTuple):
    """What a tenant's day may cost, by itself and by the operator, and what today has cost, in US dollars."""

    own: OwnBudget | None
    operator_daily_usd: float | None
    used_today_usd: float

    @property
    def daily_usd(self) -> float | None:
        """The lower of both; None: there is none."""
        return lower(self.own, self.operator_daily_usd)

    @property
    def used_share(self) -> float | None:
        """Which share of it today has used, above 1 beyond it; None without one."""
        return self.used_today_usd / self.daily_usd if self.daily_usd is not None else None


def lower(own: OwnBudget | None, operator_daily_usd: float | None) -> float | None:
    """What a day may cost by a tenant's own budget and the operator's, `LEAST_USD` at least; None without either."""
    known = (each for each in (own and own.daily_usd, operator_daily_usd) if each is not None)
    return min((max(each, LEAST_USD) for each in known), default=None)


def used_usd(day: DayOfUse, prices: Sequence[Price]) -> float:
    """What a day has cost."""
    return _day(day, prices).usd


def _day(day: DayOfUse, prices: Sequence[Price]) -> CostDay:
    parts = (CostPart(LANGUAGE_MODELS, day.models_usd), *(CostPart(each.name, _of(each, day)) for each in prices))
    return CostDay(day.start_us, day.event_count, day.decision_count, sum(part.usd for part in parts), parts)


def _of(price: Price, day: DayOfUse) -> float:
    used = price.usd_per_million_events * day.event_count + price.usd_per_million_decisions * day.decision_count
    # Early on a day its first events alone would say whose all of it is.
    return used / _MILLION + price.usd_per_day * day.share * day.passed


def _exactly(what: str, count: float, usd: float) -> CostPer:
    each = usd / count if count else None
    return CostPer(what, count, each, each, each)


def _added(rate: HelpEffect | None, treated_count: int, usd: float) -> CostPer:
    """The cost per conversion that there would not have been without help.

    Its interval is that of the effect: while the effect may be none, the cost has no upper end.
    """
    what = "added_conversion"
    if rate is None or rate.difference is None or rate.lower is None or rate.upper is None:
        return CostPer(what, 0.0, None, None, None)
    added, fewest, most = (max(0.0, each) * treated_count for each in (rate.difference, rate.lower, rate.upper))
    return CostPer(what, added, *(usd / count if count else None for count in (added, most, fewest)))
