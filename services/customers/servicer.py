"""The gRPC face of the customers service: translate, call, translate."""

from typing import Final

from journeymesh.common.v1 import erasure_pb2
from journeymesh.customers.v1 import customers_pb2 as wire
from journeymesh.customers.v1.customers_pb2_grpc import CustomersServiceServicer

from mesh.clock import Clock
from mesh.rpc.context import ServerContext
from mesh.state import applied, erasing
from services.customers import translation
from services.customers.domain import consumption, history
from services.customers.usecases import Purchases

_USUAL_LIMIT: Final = 20


class CustomersServicer(CustomersServiceServicer):
    """Serves `CustomersService`."""

    def __init__(self, purchases: Purchases, clock: Clock) -> None:
        self._purchases = purchases
        self._clock = clock

    async def ApplyPurchases(
        self, request: wire.ApplyPurchasesRequest, _context: ServerContext
    ) -> wire.ApplyPurchasesResponse:
        """Applies the purchases and declared traits of a batch."""
        await self._purchases.apply(applied.batch(request.position), translation.rows_of(request))
        return wire.ApplyPurchasesResponse()

    async def GetCustomer(self, request: wire.GetCustomerRequest, _context: ServerContext) -> wire.GetCustomerResponse:
        """Reads a customer."""
        now_us = self._clock()
        found = await self._purchases.customer(request.user_id)
        place = await self._purchases.place(request.user_id, found, consumption.day_of(now_us // 1000))
        return translation.customer_message(request.user_id, history.facts(found), found.traits, place, now_us)

    async def ListPurchases(
        self, request: wire.ListPurchasesRequest, _context: ServerContext
    ) -> wire.ListPurchasesResponse:
        """Lists a customer's orders, newest first."""
        orders = history.history(await self._purchases.customer(request.user_id))[::-1]
        return translation.purchases_message(request.user_id, orders[: request.limit or _USUAL_LIMIT])

    async def EraseUser(self, request: wire.EraseUserRequest, _context: ServerContext) -> wire.EraseUserResponse:
        """Erases what is kept of a person, or counts it."""
        erasing.require_person(request.user_ids)
        if not request.counts_only:
            await self._purchases.erase(request.user_ids)
        kept = await self._purchases.kept(request.user_ids)
        return wire.EraseUserResponse(
            stores=[erasure_pb2.PersonalEntries(store=store, count=count) for store, count in kept.items()]
        )

    async def ExportUser(self, request: wire.ExportUserRequest, _context: ServerContext) -> wire.ExportUserResponse:
        """Reads all that is kept of a person."""
        erasing.require_person(request.user_ids)
        records = await self._purchases.export(request.user_ids)
        return wire.ExportUserResponse(
            records=[erasure_pb2.PersonalRecord(store=each.store, json=each.json) for each in records]
        )
