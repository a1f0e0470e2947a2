"""The gRPC face of the segments of customers: translate, call, translate."""

from typing import Final

from journeymesh.customers.v1 import segments_pb2 as wire
from journeymesh.customers.v1.segments_pb2_grpc import CustomerSegmentsServiceServicer

from mesh.rpc.context import ServerContext
from records import tenants
from services.customers import translation
from services.customers.domain import migration
from services.customers.domain.fit import Fit
from services.customers.domain.groups import Groups, centres
from services.customers.domain.segments import NAMES, SEGMENTS
from services.customers.domain.strategies import STRATEGIES
from services.customers.foretelling import Foretelling

_COUNT: Final = 100


class CustomerSegmentsServicer(CustomerSegmentsServiceServicer):
    """Serves `CustomerSegmentsService`."""

    def __init__(self, foretelling: Foretelling) -> None:
        self._foretelling = foretelling

    async def ListCustomerSegments(
        self, request: wire.ListCustomerSegmentsRequest, _context: ServerContext
    ) -> wire.ListCustomerSegmentsResponse:
        """Lists the segments."""
        fit = await self._foretelling.learnt.fit(request.tenant)
        groups = fit.groups if fit else None
        return wire.ListCustomerSegmentsResponse(
            fit=translation.fit_message(fit),
            segments=[_segment(name, fit) for name in SEGMENTS],
            recency_days=[-step for step in fit.cuts.recency] if fit else (),
            frequency_orders=fit.cuts.frequency if fit else (),
            groups=_groups(groups) if groups else (),
            group_currency=fit.currency if fit and groups else "",
            silhouette=groups.silhouette if groups else 0.0,
            stability=groups.stability if groups else 0.0,
        )

    async def ListSegmentMembers(
        self, request: wire.ListSegmentMembersRequest, _context: ServerContext
    ) -> wire.ListSegmentMembersResponse:
        """Lists the customers of a segment."""
        count = request.limit or _COUNT
        after = request.after and tenants.qualified(request.tenant, request.after)
        fit, found = await self._foretelling.members(request.tenant, request.segment, after, count)
        names = [*map(tenants.plain, found)]
        return wire.ListSegmentMembersResponse(
            fit=translation.fit_message(fit), user_ids=names, next_after=names[-1] if len(names) == count else ""
        )

    async def GetMigration(
        self, request: wire.GetMigrationRequest, _context: ServerContext
    ) -> wire.GetMigrationResponse:
        """Tells who moved."""
        fit = await self._foretelling.learnt.fit(request.tenant)
        rows = migration.shares(fit.moved) if fit else {}
        return wire.GetMigrationResponse(
            fit=translation.fit_message(fit),
            rows=[
                wire.MigrationRow(
                    segment=segment,
                    moved_to=[
                        wire.MigrationShare(segment=to, customer_count=fit.moved[segment][to], share=share)
                        for to, share in row.items()
                    ],
                )
                for segment, row in rows.items()
                if fit
            ],
        )


def _segment(name: str, fit: Fit | None) -> wire.CustomerSegment:
    count = fit.members.get(name, 0) if fit else 0
    aim, offer, offers_a_week = STRATEGIES[name]
    return wire.CustomerSegment(
        name=name,
        cells=[wire.SegmentCell(recency=r, frequency=f) for (r, f), each in sorted(NAMES.items()) if each == name],
        customer_count=count,
        share=count / fit.customers if fit else 0.0,
        strategy=wire.SegmentStrategy(aim=aim, offer=offer, offers_a_week=offers_a_week),
    )


def _groups(of: Groups) -> list[wire.CustomerGroup]:
    found = []
    for name, count, centre in zip(of.names, of.counts, centres(of), strict=True):
        days_since, order_days, money = centre
        found.append(
            wire.CustomerGroup(
                name=name, customer_count=count, days_since=days_since, order_days=order_days, money=money
            )
        )
    return found
