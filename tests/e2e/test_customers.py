"""What is bought comes in by any way and is told over REST; refunds lower it, a login keeps it, an erasure ends it."""

import asyncio
from typing import Any

import pytest

from tests.e2e.following import kill, until
from tests.e2e.in_process import Mesh, applied, running_mesh
from tests.e2e.journeys import journey
from tests.processes import RunningMesh

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
