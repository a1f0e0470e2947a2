"""What is bought comes in by any way and is told over REST; refunds lower it, a login keeps it, an erasure ends it.

What is learnt of all of it comes back on the stream.
"""

import asyncio
import csv
import datetime as dt
import io
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from services.customers.domain.segments import SEGMENTS
from tests.customers.fits import shop
from tests.e2e.following import kill, until
from tests.e2e.in_process import Mesh, applied, running_mesh
from tests.e2e.journeys import journey
from tests.processes import RunningMesh
from tests.processes import running_mesh as processes

BEANS = {"product_id": "p-1", "name": "Beans", "category": "Coffee", "price": 5, "quantity": 2}
FILTERS = {"product_id": "p-2", "name": "Filters", "price": 2.5, "quantity": 1}


async def bought(mesh: Mesh, message_id: str, name: str, **properties: Any) -> None:
    """Sends what a Segment client says of an order, and waits until it is applied."""
    call = {"type": "track", "messageId": message_id, "event": name, "userId": "ada", "properties": properties}
    answer = await mesh.client.post("/v1/batch", json={"batch": [call]})
    assert answer.status_code == 200, answer.text
    await applied(mesh, message_id)


async def answered(mesh: Mesh, path: str, status: int) -> Any:
    """What a path tells, once it answers with a status."""
    async with asyncio.timeout(30):
        while True:
            answer = await mesh.client.get(path)
            if answer.status_code == status:
                return answer.json()
            await asyncio.sleep(0.02)


async def test_orders_are_told_as_they_stand_and_erased_with_the_person() -> None:
    async with running_mesh() as mesh:
        assert (await mesh.client.get("/api/customers/ada")).status_code == 404
        await bought(mesh, "m-0", "Order Refunded", order_id="o-1", products=[{"product_id": "p-1", "quantity": 1}])
        await bought(
            mesh, "m-1", "Order Completed", order_id="o-1", revenue=12.5, currency="EUR", products=[BEANS, FILTERS]
        )
        own = {"amount": 3, "currency": "USD", "lines": [{"productId": "p-9", "name": "ada@example.com"}]}
        event = {"eventId": "e-2", "userId": "ada", "eventType": "purchase", "properties": own}
        await mesh.client.post("/api/events/track", json=event)
        await applied(mesh, "e-2")

        traits = {"plan": "gold", "email": "ada@example.com", "phone": "+49 30 901820"}
        identify = {"type": "identify", "messageId": "i-1", "userId": "ada", "traits": traits}
        await mesh.client.post("/v1/batch", json={"batch": [identify]})
        await applied(mesh, "i-1")

        found = (await mesh.client.get("/api/customers/ada")).json()
        assert [(each["name"], each["value"]) for each in found["traits"]] == [("phone", "[phone]"), ("plan", "gold")]
        money = [(each["currency"], each["orderCount"], each["amount"], each["refunded"]) for each in found["money"]]
        assert money == [("EUR", 1, 7.5, 5), ("USD", 1, 3, 0)]
        orders = (await mesh.client.get("/api/customers/ada/purchases")).json()["orders"]
        assert [(each["orderId"], each["amount"]) for each in orders] == [("e-2", 3), ("o-1", 7.5)]
        assert orders[0]["lines"][0]["name"] == "[email]"
        assert [(each["productId"], each["quantity"]) for each in orders[1]["lines"]] == [("p-1", 1), ("p-2", 1)]

        begun = await mesh.client.post("/api/privacy/erasures", json={"userId": "ada"})
        assert begun.status_code == 202
        await answered(mesh, "/api/customers/ada", 404)


async def test_an_order_before_a_login_is_the_users() -> None:
    async with running_mesh() as mesh:
        order = {"amount": 5, "currency": "EUR", "orderId": "o-1", "lines": [{"productId": "p-1"}]}
        events = [
            {"eventId": "e-1", "anonymousId": "a-1", "eventType": "purchase", "properties": order},
            {"eventId": "e-2", "userId": "bob", "anonymousId": "a-1", "eventType": "identify"},
        ]
        await mesh.client.post("/api/events/track", json={"events": events})
        (told,) = (await answered(mesh, "/api/customers/bob/purchases", 200))["orders"]
        assert (told["orderId"], told["amount"], told["lines"][0]["productId"]) == ("o-1", 5, "p-1")


@pytest.mark.processes
def test_every_order_counts_once_though_the_service_is_killed(mesh: RunningMesh) -> None:
    one = journey(mesh)
    orders = [
        one.event(number, "purchase", amount=0.1, currency="EUR", orderId=f"o-{number}", lines=[{"productId": "p"}])
        for number in range(60)
    ]
    for start in range(0, 60, 10):
        assert mesh.track(*orders[start : start + 10]).body["accepted"] == 10
        if start == 20:
            kill(mesh, "customers")

    def counted() -> bool:
        return bool(mesh.get(f"/api/customers/{one.user_id}").body.get("orderCount") == 60)

    until(counted, "not all orders were counted")
    customer = mesh.get(f"/api/customers/{one.user_id}").body
    assert customer["money"] == [{"currency": "EUR", "orderCount": 60, "amount": 6, "refunded": 0, "meanAmount": 0.1}]
    told = mesh.get(f"/api/customers/{one.user_id}/purchases?limit=200").body["orders"]
    assert {each["orderId"] for each in told} == {f"o-{number}" for number in range(60)}


@pytest.mark.processes
def test_an_analysis_says_what_was_bought(mesh: RunningMesh) -> None:
    one = journey(mesh)
    days = (29, 20, 11)
    one.send(
        *(
            one.event(
                -day * 86_400, "purchase", amount=5, currency="EUR", orderId=f"o-{day}", lines=[{"productId": "p"}]
            )
            for day in days
        )
    )
    path = f"/api/customers/{one.user_id}"
    until(lambda: mesh.get(path).body.get("orderCount") == len(days), "not all orders were counted")
    for depth in ("quick", "deep"):
        analysis = mesh.post(f"/api/users/{one.user_id}/analysis", {"depth": depth}).body
        said = "Bought 3 times, last 11 days ago, usually every 9 days: overdue."
        assert said in analysis["keyInsights"], analysis


def ended(mesh: RunningMesh, kind: str = "customers_fit") -> Any:
    """What came of a job."""
    begun = mesh.post("/api/jobs", {"kind": kind})
    assert begun.status == 202, begun.body
    path = f"/api/jobs/{begun.body['jobId']}"
    until(lambda: mesh.get(path).body["state"] not in {"queued", "running"}, "the job does not end", 240)
    return mesh.get(path).body


def changes(mesh: RunningMesh, user: str) -> list[Any]:
    """The changes of segment in a user's journey, without what is recommended."""
    events = mesh.get(f"/api/users/{user}/events").body["events"]
    return [each["properties"] for each in events if each["eventType"] == "segment_change"]


@pytest.mark.processes
def test_what_a_job_learns_comes_back_as_events_once(tmp_path: Path) -> None:
    quick = {"JOURNEYMESH_ARCHIVE_PERIOD_SECONDS": "0.5"}
    with processes(tmp_path, **quick) as mesh:
        orders = [
            {
                "eventId": f"{user}-{order.order}",
                "userId": user,
                "eventType": "purchase",
                "timestamp": dt.datetime.fromtimestamp(order.at / 1000, dt.UTC).isoformat(),
                "properties": {
                    "amount": order.amount,
                    "currency": "EUR",
                    "orderId": f"{user}-{order.order}",
                    "lines": [{"productId": line.product, "name": line.name, "price": 5} for line in order.lines],
                },
            }
            for user, history in shop(40).items()
            for order in history
        ]
        for start in range(0, len(orders), 100):
            sent = mesh.track(*orders[start : start + 100])
            assert sent.body["accepted"] == len(orders[start : start + 100]), sent.body

        def is_learnt() -> bool:
            job = ended(mesh)
            return bool(job["state"] == "done" and job["counts"]["customers"] == 40)

        # Until all of it is archived, fewer are learnt of, and the others later: nobody is told twice the same.
        until(is_learnt, "not all customers were learnt of", 480)
        asked = {"userIds": ["user-001", "nobody"]}
        assigned = mesh.post("/api/segments:assign", asked).body
        assert assigned["fit"]["customerCount"] == 40
        one, nobody = assigned["assignments"]
        assert (one["segment"] in SEGMENTS, one["scores"]["recency"], nobody["segment"]) == (True, 1, "")
        until(lambda: bool(changes(mesh, "user-001")), "the segment did not come back")
        (told, *_) = changes(mesh, "user-001")
        members = mesh.get(f"/api/segments/{told['segment'].replace(' ', '%20')}/members").body["userIds"]
        assert "user-001" in members
        assert 0 < len(told["products"]) <= 5

        again = ended(mesh)
        assert (again["state"], again["counts"]["published"], again["counts"]["refused"]) == ("done", 0, 0)
        performance = mesh.get("/api/segments/performance?days=365").body["segments"]
        assert sum(each["customerCount"] for each in performance) == 40
        assert {each["lift"] for each in performance} == {None}, "nobody was helped"
        rows = mesh.get("/api/segments/migration").body
        for row in (*rows["rows"], *rows["groupRows"]):
            assert sum(each["share"] for each in row["movedTo"]) == pytest.approx(1)
        assert {each["change"] for each in rows["groupTransitions"]} <= {"kept"}

        written = ended(mesh, "customers_export")
        assert (written["state"], written["counts"], written["startedBy"]) == ("done", {"customers": 40}, "person")
        with urllib.request.urlopen(f"{mesh.url}/api/jobs/{written['jobId']}/file", timeout=30) as answer:
            rows = [*csv.DictReader(io.TextIOWrapper(answer, "utf-8"))]
        assert [row["customer"] for row in rows] == sorted(shop(40))
        assert {row["segment"] for row in rows} <= {*SEGMENTS}
