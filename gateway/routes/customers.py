"""Routes that read what customers bought, and their rows of the table."""

from typing import Final

from journeymesh.customers.v1 import customers_pb2

from gateway.contract.route import Route, up_to
from gateway.core import Core
from gateway.formats.rendering import render
from gateway.http.asgi import Answer, Request, json
from gateway.http.parameters import number
from gateway.routes.questions import CALLS_REASONS

_USUAL: Final = 20
_MOST: Final = 200


async def customer(core: Core, request: Request) -> Answer:
    """A customer in figures."""
    asked = customers_pb2.GetCustomerRequest(user_id=request.parameters["userId"])
    return json(render(await core.peers.customers.GetCustomer(asked)))


async def purchases(core: Core, request: Request) -> Answer:
    """A customer's orders, newest first."""
    limit = number(request.query.get("limit"), "limit", _USUAL, _MOST)
    asked = customers_pb2.ListPurchasesRequest(user_id=request.parameters["userId"], limit=limit)
    return json(render(await core.peers.customers.ListPurchases(asked)))


CUSTOMER_ROUTES: Final = (
    Route(
        "GET",
        "/api/customers/{userId}",
        "What a user bought, in figures: orders, money by currency, recency and cadence.",
        customer,
        customers_pb2.GetCustomerResponse.DESCRIPTOR,
        reasons=("USER_NOT_FOUND", *CALLS_REASONS),
    ),
    Route(
        "GET",
        "/api/customers/{userId}/purchases",
        "A user's orders with their lines, newest first, as they stand after refunds.",
        purchases,
        customers_pb2.ListPurchasesResponse.DESCRIPTOR,
        reasons=("USER_NOT_FOUND", *CALLS_REASONS),
        query=(up_to("limit", _USUAL, _MOST),),
    ),
)
