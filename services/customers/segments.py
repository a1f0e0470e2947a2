"""The gRPC face of the segments of customers: translate, call, translate."""

from typing import Final

from journeymesh.customers.v1 import segments_pb2 as wire
from journeymesh.customers.v1.segments_pb2_grpc import CustomerSegmentsServiceServicer

from mesh.clock import Clock
from mesh.errors import InvalidArgument
from mesh.rpc.context import ServerContext
from records import tenants
from services.customers import translation
from services.customers.domain import consumption, migration
from services.customers.domain.performance import WINDOWS
from services.customers.domain.segments import SEGMENTS
from services.customers.foretelling import Foretelling, require_segment

_COUNT: Final = 100
_DAYS: Final = 90
_MOST_ASSIGNED: Final = 1_000


class CustomerSegmentsServicer(CustomerSegmentsServiceServicer):
    """Serves `CustomerSegmentsService`."""

    def __init__(self, foretelling: Foretelling, clock: Clock) -> None:
        self._foretelling = foretelling
        self._clock = clock

    async def ListCustomerSegments(
        self, request: wire.ListCustomerSegmentsRequest, _context: ServerContext
    ) -> wire.ListCustomerSegmentsResponse:
        """Lists the segments."""
        fit = await self._foretelling.learnt.fit(request.tenant)
        groups = fit.groups if fit else None
        return wire.ListCustomerSegmentsResponse(
            fit=translation.fit_message(fit),
            segments=[translation.segment_message(name, fit) for name in SEGMENTS],
            recency_days=[-step for step in fit.cuts.recency] if fit else (),
            frequency_orders=fit.cuts.frequency if fit else (),
            groups=translation.group_messages(groups) if groups else (),
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

    async def GetCustomerSegment(
        self, request: wire.GetCustomerSegmentRequest, _context: ServerContext
    ) -> wire.GetCustomerSegmentResponse:
        """Shows a segment."""
        require_segment(request.segment)
        fit = await self._foretelling.learnt.fit(request.tenant)
        return wire.GetCustomerSegmentResponse(
            fit=translation.fit_message(fit),
            segment=translation.segment_message(request.segment, fit),
            recency_days=[-step for step in fit.cuts.recency] if fit else (),
            frequency_orders=fit.cuts.frequency if fit else (),
        )

    async def GetSegmentPerformance(
        self, request: wire.GetSegmentPerformanceRequest, _context: ServerContext
    ) -> wire.GetSegmentPerformanceResponse:
        """Tells what segments bring."""
        if request.segment:
            require_segment(request.segment)
        days = request.days or _DAYS
        if days not in WINDOWS:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", f"`days` must be one of {', '.join(map(str, WINDOWS))}.")
        fit = await self._foretelling.learnt.fit(request.tenant)
        return wire.GetSegmentPerformanceResponse(
            fit=translation.fit_message(fit),
            days=days,
            segments=[
                each
                for each in (translation.performance_messages(fit, days) if fit else ())
                if request.segment in {"", each.segment}
            ],
        )

    async def AssignSegments(
        self, request: wire.AssignSegmentsRequest, _context: ServerContext
    ) -> wire.AssignSegmentsResponse:
        """Tells where users belong."""
        if not 0 < len(request.user_ids) <= _MOST_ASSIGNED:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", f"Ask for 1 to {_MOST_ASSIGNED:,} users.")
        names = [tenants.qualified(request.tenant, each) for each in request.user_ids]
        today = consumption.day_of(self._clock() // 1000)
        fit, places = await self._foretelling.places(request.tenant, names, today)
        return wire.AssignSegmentsResponse(
            fit=translation.fit_message(fit),
            assignments=map(translation.assignment_message, request.user_ids, places),
        )

    async def GetMigration(
        self, request: wire.GetMigrationRequest, _context: ServerContext
    ) -> wire.GetMigrationResponse:
        """Tells who moved."""
        fit = await self._foretelling.learnt.fit(request.tenant)
        return wire.GetMigrationResponse(
            fit=translation.fit_message(fit),
            rows=translation.migration_rows(fit.moved) if fit else (),
            group_rows=translation.migration_rows(fit.moved_groups) if fit else (),
            group_transitions=translation.transition_messages(migration.transitions(fit.moved_groups)) if fit else (),
        )
