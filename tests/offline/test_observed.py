"""What decisions are rewarded for: what the user did in time, under any id, and however late it was reported."""

from typing import Any

import pytest

from offline.decisions.observed import Observations, Reward
from services.intervention.policy.adapters.yaml import parse
from services.intervention.policy.domain.interpretation import policy_of
from tests.builders import MINUTE_US, NOW_US
from tests.intervention.builders import edited
from tests.offline.help_log import Log

POLICY = policy_of(parse(edited(conversion={"event": "purchase", "within": "60m"})))
DAY_US = 24 * 60 * MINUTE_US


def paid(log: Log, reward: Reward, order: list[int] | None = None) -> list[float]:
    """What each decision with a choice was paid, the records read in an order."""
    seen = Observations()
    records = log.records()
    for number in order or range(len(records)):
        block = log.blocks[number]
        seen.see(records[number], (block, block), (POLICY, POLICY), {0})
    return list(seen.logged(reward).rewards)


@pytest.mark.parametrize(
    ("minute", "members", "reward"),
    [
        (5, {}, 1.0),
        (5, {"received_time_us": NOW_US + DAY_US}, 1.0),
        (60, {}, 1.0),
        (61, {}, 0.0),
        (-5, {"received_time_us": NOW_US + MINUTE_US}, 0.0),
        (5, {"purchase": {"amount": -3.0}}, 0.0),
        (5, {"purchase": {"amount": 3.0, "is_refund": True}}, 0.0),
        (5, {"copied_event_id": "e-0"}, 0.0),
        (5, {"is_bot": True}, 0.0),
        (5, {"is_system": True}, 1.0),
    ],
)
def test_a_goal_counts_by_when_it_was_reached(minute: int, members: dict[str, Any], reward: float) -> None:
    log = Log(POLICY)
    log.help("ada", "high", "technical")
    log.see("ada", "purchase", NOW_US + minute * MINUTE_US, **members)
    assert paid(log, Reward.CONVERTED) == [reward]


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 3, 0, 1]])
def test_a_known_user_s_outcome_rewards_decisions_before_the_login(order: list[int]) -> None:
    log = Log(POLICY)
    made = log.help("anon", "high", "technical")
    log.see("anon", "identify", NOW_US + MINUTE_US, linked_user_id="ada")
    log.report("ada", made, "accepted", NOW_US + 2 * MINUTE_US)
    log.see("ada", "purchase", NOW_US + 3 * MINUTE_US)
    assert paid(log, Reward.ACCEPTED, order) == paid(log, Reward.CONVERTED, order) == [1.0]


def test_the_next_user_of_a_device_does_not_reward_decisions_for_the_first() -> None:
    log = Log(POLICY)
    log.help("anon", "high", "technical")
    log.see("anon", "identify", NOW_US + MINUTE_US, linked_user_id="ada")
    log.see("anon", "identify", NOW_US + 2 * MINUTE_US, linked_user_id="bob")
    log.see("bob", "purchase", NOW_US + 3 * MINUTE_US)
    assert paid(log, Reward.CONVERTED) == [0.0]
