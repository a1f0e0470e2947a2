"""From what customers buy to an e-mail: what is learnt of all is recommended to one, and named while it can be had."""

import datetime as dt
import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.customers.fits import DAY_MS, NOW_MS, shop
from tests.e2e.channels import ADDRESS, TAKEN, THROTTLED, Channels, ended, helping
from tests.e2e.following import calculate, until
from tests.e2e.journeys import Journey, journey
from tests.e2e.test_customers import changes
from tests.e2e.test_customers import ended as job
from tests.intervention.builders import edited
from tests.intervention.test_segments import action
from tests.processes import RunningMesh

pytestmark = pytest.mark.processes

MAIL: Final = action("mail", channel="email", recommends=3)
LAMP: Final = {"productId": "lamp", "name": "Old Lamp", "price": 5}
"""What everybody bought whenever they bought, but nobody in the last 90 days."""
GONE_MS: Final = NOW_MS - 91 * DAY_MS


def purchases(one: Journey) -> list[dict[str, Any]]:
    """All that the shop's customers bought until a day ago."""
    until_now = one.now() - NOW_MS / 1000 - DAY_MS / 1000
    return [
        one._replace(user_id=user).event(
            until_now + order.at / 1000,
            "purchase",
            amount=order.amount,
            currency="EUR",
            orderId=f"{user}-{order.order}",
            lines=[
                *({"productId": line.product, "name": line.name, "price": 5} for line in order.lines),
                *([LAMP] if order.at < GONE_MS else []),
            ],
        )
        for user, history in shop().items()
        for order in history
    ]


def learn(mesh: RunningMesh) -> None:
    """Returns once the mesh has learnt of all that was bought, and has told everybody's segment."""
    events = purchases(journey(mesh))
    for start in range(0, len(events), 100):
        sent = mesh.track(*events[start : start + 100])
        assert sent.body["accepted"] == len(events[start : start + 100]), sent.body

    def is_learnt() -> bool:
        found = job(mesh)
        return bool(found["state"] == "done" and found["counts"]["customers"] == len(shop()))

    until(is_learnt, "not all customers were learnt of", 480)


def recommended_to(mesh: RunningMesh, user: str) -> list[dict[str, str]]:
    """What is recommended to a user, best first."""
    told = changes(mesh, user)
    return list(told[0].get("products", [])) if told else []


def is_in_force(mesh: RunningMesh, version: str) -> bool:
    """Whether a policy decides already: it begins some seconds after it was read."""
    newest = mesh.get("/api/policies").body["policies"][0]
    has_begun = dt.datetime.fromisoformat(newest["startTime"]) <= dt.datetime.now(dt.UTC)
    return has_begun and str(newest["version"]).startswith(version)


def analysis_names_what_is_due(mesh: RunningMesh) -> None:
    """Asserts that analyses name the most likely product that is due, and only of whom there is one."""
    named = 0
    for user in shop():
        foretold = mesh.get(f"/api/customers/{user}/predictions?days=14").body["due"]
        due = [each for each in foretold if each["daysLeft"] <= 14 and each["probability"] >= 0.25]
        said = mesh.post(f"/api/users/{user}/analysis", {"depth": "quick"}).body
        assert [each for each in said["recommendedActions"] if each.startswith("Offer ") and "again" in each] == [
            f"Offer {each['name']} again." for each in due[:1]
        ]
        assert [each.split(" is due")[0] for each in said["keyInsights"] if " is due" in each] == [
            each["name"] for each in due[:1]
        ]
        named += bool(due)
    assert named > 0


def mails(channels: Channels) -> list[str]:
    """The words of all e-mails so far, also of those that were not taken."""
    return [
        json.loads(each.body)["Content"]["Simple"]["Body"]["Text"]["Data"]
        for each in channels.ses.received
        if each.body
    ]


def named(mail: str) -> list[str]:
    """The products that an e-mail names."""
    return [line.removeprefix("- ") for line in mail.splitlines() if line.startswith("- ")]


def test_a_mail_names_what_is_recommended_and_was_not_bought_before_it_went_out(tmp_path: Path) -> None:
    with helping(tmp_path) as channels:
        mesh = channels.mesh
        channels.put(edited(version="mail-1", actions=[MAIL], quiet_hours=None), "mail.yaml")
        learn(mesh)
        until(lambda: all(recommended_to(mesh, user) for user in shop()), "not everybody's segment is told")
        user = max(shop(), key=lambda each: len(recommended_to(mesh, each)))
        products = recommended_to(mesh, user)
        assert len(products) > 3
        sold = {line.product for history in shop().values() for order in history for line in order.lines}
        assert {each["productId"] for each in products} <= sold, "the lamp cannot be had"

        analysis_names_what_is_due(mesh)

        until(lambda: is_in_force(mesh, "mail-1+"), "the policy is not in force")
        channels.ses.script[:] = [THROTTLED] * 100
        one = journey(mesh)._replace(user_id=user)
        one.send(one.event(0, "identify", email=ADDRESS))
        calculate(one)
        (decision, *_) = one.decisions()
        assert decision["policyVersion"].startswith("mail-1+")
        assert decision["recommended"] == products
        assert decision["intervention"]["products"] == products[:3]
        until(lambda: mails(channels), "no e-mail was tried")
        assert named(mails(channels)[-1]) == [each["name"] for each in products[:3]]

        bought = {"amount": 5, "currency": "EUR", "orderId": "late", "lines": [{"productId": products[0]["productId"]}]}
        one.send(one.event(one.now(), "purchase", **bought))
        channels.ses.script[:] = [TAKEN]
        assert ended(mesh, decision["intervention"]["id"], 120)["state"] == "sent"
        assert named(mails(channels)[-1]) == [each["name"] for each in products[1:3]]
