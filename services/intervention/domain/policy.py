"""Every number of the policy in one value. What decides differently gets another version."""

from typing import Final

import msgspec

MINUTE_US: Final = 60 * 1_000_000
HOUR_US: Final = 60 * MINUTE_US


class Prior(msgspec.Struct, frozen=True, array_like=True):
    """Beta prior of a channel's success: so many acceptances and refusals are assumed before anything was seen."""

    accepted: float
    refused: float


class Policy(msgspec.Struct, frozen=True, array_like=True):
    """The numbers a decision rests on. Times are microseconds of received time, hours are local clock hours."""

    version: str
    trigger_score: float
    trigger_signal_count: int
    strong_signal_strength: float
    cooldown_us: int
    urgent_deliver_us: int
    urgent_lifetime_us: int
    gentle_deliver_us: int
    gentle_answer_us: int
    least_office_us: int
    office_opens_hour: int
    office_closes_hour: int
    least_outcome_count: int
    least_success_probability: float
    remembered_offer_count: int
    priors: dict[str, Prior]


POLICY: Final = Policy(
    version="policy-1",
    trigger_score=75.0,
    trigger_signal_count=4,
    strong_signal_strength=70.0,
    # After an intervention was made, however it ended.
    cooldown_us=15 * MINUTE_US,
    # Urgent help is for now: within a minute, or not at all once half an hour has passed.
    urgent_deliver_us=1 * MINUTE_US,
    urgent_lifetime_us=30 * MINUTE_US,
    # Gentle help reaches the user within two office hours and may be answered for a day.
    gentle_deliver_us=2 * HOUR_US,
    gentle_answer_us=24 * HOUR_US,
    # With less of the office day left, gentle help waits for the next one.
    least_office_us=30 * MINUTE_US,
    office_opens_hour=9,
    office_closes_hour=18,
    # A channel is trusted for gentle help from so many outcomes of the user's own on, at so high a probability.
    least_outcome_count=3,
    least_success_probability=0.6,
    remembered_offer_count=16,
    # Five assumed offers each. People welcome mail more often than what pops up before them, so the prior says.
    priors={
        "chat": Prior(2.0, 3.0),
        "email": Prior(3.0, 2.0),
        "in_app": Prior(2.0, 3.0),
        "push": Prior(1.5, 3.5),
        "ticket": Prior(2.0, 3.0),
    },
)

# Names of indicators, as features and scoring use them. Technical: something did not work.
TECHNICAL_DIFFICULTIES: Final = frozenset(
    {
        "repeated_failures",
        "form_errors",
        "page_refreshes",
        "rage_clicks",
        "dead_click",
        "error_click",
        "scattered_errors",
        "error_count",
        "retry_count",
        "click_frustration",
    }
)
# Orientation: it works, but the user does not find or understand it.
ORIENTATION_DIFFICULTIES: Final = frozenset(
    {
        "help_seeking",
        "quick_backs",
        "rapid_navigation",
        "long_time_on_page",
        "repeated_recalculation",
        "form_abandonment",
        "forms_left",
        "help_requests",
        "form_abandons",
    }
)
DIFFICULTIES: Final = TECHNICAL_DIFFICULTIES | ORIENTATION_DIFFICULTIES
