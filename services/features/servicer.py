"""The gRPC face of the features service: translate, call, translate."""

from typing import Final

from journeymesh.common.v1 import erasure_pb2
from journeymesh.features.v1 import features_pb2, features_pb2_grpc

from mesh.errors import InvalidArgument
from mesh.observability import registry
from mesh.observability.metrics import Metrics
from mesh.rpc.context import ServerContext
from mesh.state import applied, erasing
from services.features.domain import recents
from services.features.domain.vector import DEFINITIONS, FEATURE_COUNT, FEATURE_NAMES, SCHEMA_VERSION, vector
from services.features.translation import answers, kept, rows
from services.features.usecases import Features

_USERS_MOST: Final = 500


class FeaturesServicer(features_pb2_grpc.FeaturesServiceServicer):
    """Answers the RPCs over one store."""

    def __init__(self, features: Features, metrics: Metrics) -> None:
        self._features = features
        self._metrics = metrics

    async def ApplyEvents(
        self, request: features_pb2.ApplyEventsRequest, _context: ServerContext
    ) -> features_pb2.ApplyEventsResponse:
        """See the contract."""
        received = rows.rows_of(request, self._features.columns)
        assessed = rows.assessed_rows_of(request, len(received.events))
        has_history = not request.leaves_out_history
        derived = await self._features.apply(
            applied.batch(request.position), received, assessed, has_history=has_history
        )
        if not request.position.is_retraction:
            self._metrics.count(registry.VECTORS, len(assessed))
            self._metrics.count_each(registry.SIGNALS, [answers.signal_name(each) for _, each in derived.signals])
        return features_pb2.ApplyEventsResponse(
            values=derived.values,
            feature_count=FEATURE_COUNT,
            feature_schema_version=SCHEMA_VERSION,
            signals=[answers.signal_row(row, signal) for row, signal in derived.signals],
            feature_names=FEATURE_NAMES,
            settled=[answers.settled_row(row, settled) for row, settled in derived.settled],
            time_zone_names=derived.time_zone_names,
            time_zones=derived.time_zones,
            inputs=answers.inputs(derived, self._features.columns, has_history=has_history),
            carried=[answers.carried_row(row, carried) for row, carried in derived.carried],
        )

    async def GetFeatures(
        self, request: features_pb2.GetFeaturesRequest, _context: ServerContext
    ) -> features_pb2.GetFeaturesResponse:
        """See the contract."""
        state = await self._features.read(request.user_id)
        values = vector(state)
        return features_pb2.GetFeaturesResponse(
            user_id=request.user_id,
            features=[
                features_pb2.Feature(name=name, value=value) for name, value in zip(FEATURE_NAMES, values, strict=True)
            ],
            feature_schema_version=SCHEMA_VERSION,
            as_of_time=answers.seen_time(state.last_us),
        )

    async def GetProfile(
        self, request: features_pb2.GetProfileRequest, _context: ServerContext
    ) -> features_pb2.GetProfileResponse:
        """See the contract."""
        state = await self._features.read(request.user_id)
        return answers.profile(request.user_id, state)

    async def ListRecentEvents(
        self, request: features_pb2.ListRecentEventsRequest, _context: ServerContext
    ) -> features_pb2.ListRecentEventsResponse:
        """See the contract."""
        limit = request.limit or recents.KEPT_EVENTS
        if limit > recents.KEPT_EVENTS:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", f"At most {recents.KEPT_EVENTS} events are kept of a user.")
        events = await self._features.recent_events(request.user_id, limit)
        return features_pb2.ListRecentEventsResponse(events=kept.kept_events(request.user_id, events))

    async def BatchListRecentEvents(
        self, request: features_pb2.BatchListRecentEventsRequest, _context: ServerContext
    ) -> features_pb2.BatchListRecentEventsResponse:
        """See the contract."""
        if not 1 <= len(request.user_ids) <= _USERS_MOST:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", f"1 to {_USERS_MOST} users are asked for at once.")
        user_ids = list(request.user_ids)
        of_users = await self._features.recent_events_of(user_ids)
        return features_pb2.BatchListRecentEventsResponse(
            users=[
                features_pb2.ListRecentEventsResponse(events=kept.kept_events(user_id, events))
                for user_id, events in zip(user_ids, of_users, strict=True)
            ]
        )

    async def ListFeatureDefinitions(
        self, _request: features_pb2.ListFeatureDefinitionsRequest, _context: ServerContext
    ) -> features_pb2.ListFeatureDefinitionsResponse:
        """See the contract."""
        return features_pb2.ListFeatureDefinitionsResponse(
            definitions=[
                features_pb2.FeatureDefinition(
                    name=definition.name,
                    meaning=definition.meaning,
                    unit=definition.unit,
                    window=definition.window,
                    empty_value=definition.empty_value,
                )
                for definition in DEFINITIONS
            ],
            feature_schema_version=SCHEMA_VERSION,
        )

    async def EraseUser(
        self, request: features_pb2.EraseUserRequest, _context: ServerContext
    ) -> features_pb2.EraseUserResponse:
        """Erases what is kept of a person, or counts it."""
        erasing.require_person(request.user_ids)
        if not request.counts_only:
            await self._features.erase(request.user_ids)
        kept = await self._features.kept(request.user_ids)
        return features_pb2.EraseUserResponse(
            stores=[erasure_pb2.PersonalEntries(store=store, count=count) for store, count in kept.items()]
        )

    async def ExportUser(
        self, request: features_pb2.ExportUserRequest, _context: ServerContext
    ) -> features_pb2.ExportUserResponse:
        """Reads all that is kept of a person."""
        erasing.require_person(request.user_ids)
        records = await self._features.export(request.user_ids, kept.exported)
        return features_pb2.ExportUserResponse(
            records=[erasure_pb2.PersonalRecord(store=each.store, json=each.json) for each in records]
        )
