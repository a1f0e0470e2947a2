"""The situation a decision is derived from: policy, facts and standing, and what follows from them."""

import dataclasses
import functools
from collections.abc import Collection, Iterable, Sequence

from services.intervention.decision.domain.facts import LEVEL_NAMES, Facts, Indicator
from services.intervention.decision.domain.offer import Standing
from services.intervention.decision.domain.outcome import welcome_channels
from services.intervention.decision.domain.segment import Recommended, name_of
from services.intervention.policy.domain.policy import (
    ANY,
    DIFFICULTIES,
    ORIENTATION,
    TECHNICAL,
    TECHNICAL_DIFFICULTIES,
    Policy,
)


@dataclasses.dataclass(frozen=True)
class Situation:
    """Everything a decision looks at. Derived values are computed once, on first use."""

    policy: Policy
    facts: Facts
    user: Standing

    @functools.cached_property
    def difficulties(self) -> Sequence[str]:
        """The user's difficulties, strongest first."""
        return difficulties(self.facts.assessment.indicators)

    @functools.cached_property
    def difficulty(self) -> str:
        """The kind of difficulty: `technical`, `orientation` or `any`."""
        return kind_of_difficulty(self.difficulties)

    @functools.cached_property
    def welcome_channels(self) -> Sequence[str]:
        """The channels by which the user welcomes help."""
        return welcome_channels(self.policy, self.user.learned)

    @property
    def level(self) -> str:
        """The name of the risk's level."""
        return LEVEL_NAMES[self.facts.assessment.level]

    @property
    def segment(self) -> str:
        """The user's segment; `none` without one."""
        return name_of(self.user.segment)

    @property
    def recommended(self) -> Sequence[Recommended]:
        """What is recommended to the user, best first."""
        return self.user.segment.products if self.user.segment else ()

    @property
    def is_high_value(self) -> bool:
        """Whether the user's purchases, in the policy's currency or without one, make its help go first."""
        least = self.policy.high_value
        return bool(least) and self.user.bought.get(self.policy.high_value_currency, 0.0) >= least


def difficulties(indicators: Iterable[Indicator]) -> list[str]:
    """Names of the indicators that show a difficulty and add to the risk, strongest first."""
    return [each.name for each in indicators if each.name in DIFFICULTIES and each.contribution > 0]


def kind_of_difficulty(found: Collection[str]) -> str:
    """`technical` if something did not work, `orientation` if something was not found, `any` without a difficulty."""
    if not found:
        return ANY
    return ORIENTATION if TECHNICAL_DIFFICULTIES.isdisjoint(found) else TECHNICAL
