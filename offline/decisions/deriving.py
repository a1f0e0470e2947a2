"""Derives decisions again: runs the services' code over archived events, in memory."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from journeymesh.common.v1 import event_pb2, position_pb2
from journeymesh.features.v1 import features_pb2
from journeymesh.scoring.v1 import scoring_pb2
from journeymesh.video.v1 import video_pb2

from mesh.observability.metrics import Metrics
from mesh.state import applied
from mesh.state.memory import MemoryShards, MemoryState
from services.features.servicer import FeaturesServicer
from services.features.usecases import Features
from services.ingest.dispatch.translation.deciding import assess_request, decide_request, vectors_of
from services.ingest.dispatch.translation.groups import Groups
from services.ingest.events.translation.records import Rows
from services.intervention.batch.deciding import Deciding
from services.intervention.bootstrap import Stores
from services.intervention.decision.adapters.listeners import LocalListeners
from services.intervention.decision.adapters.memory import MemoryLedger
from services.intervention.decision.adapters.silence import NoCopywriting, SilentObserver
from services.intervention.decision.domain import ledger as pages
from services.intervention.decision.domain.ledger import Block
from services.intervention.decision.domain.offer import Undelivered
from services.intervention.decision.ports import Entry
from services.intervention.decision.state import UNDELIVERED
from services.intervention.delivery.adapters.outbox_memory import MemoryOutbox
from services.intervention.lift.adapters.reports import NoReports
from services.intervention.policy.adapters.store import MemoryPolicies
from services.intervention.policy.adapters.yaml import parse
from services.intervention.policy.domain.policy import Policy
from services.intervention.policy.domain.timeline import DatedPolicy, Timeline
from services.intervention.policy.usecases import Policies
from services.intervention.translation.rows import rows_of
from services.scoring.domain.rules import RULES_VERSION
from services.scoring.domain.stages import EVERYBODY
from services.scoring.ports import Matrix, Model, Prediction, Served, Serving
from services.scoring.serving import RULES_ONLY, silent
from services.scoring.translation import assessment_message
from services.scoring.translation import rows_of as scoring_rows
from services.scoring.usecases import Scoring
from services.video.servicer import VideoServicer
from services.video.usecases import Playback

_STREAM: Final = "archive"
_PLAYBACK: Final = event_pb2.EVENT_TYPE_VIDEO_PLAYBACK
# Servicers ignore the context.
_NO_CONTEXT: Final = cast("Any", None)


class Applied(NamedTuple):
    """A batch of events with the features of its groups."""

    position: position_pb2.BatchPosition
    rows: Rows
    groups: Groups
    features: features_pb2.ApplyEventsResponse


class Share(NamedTuple):
    """The groups of a batch that one model assesses, by number, ascending."""

    model: Model
    groups: Sequence[int]


def all_by(model: Model, batch: Applied) -> list[Share]:
    """One model assesses the whole batch."""
    return [Share(model, range(len(batch.groups.deciding)))]


class Recorded:
    """Stands for a model that is not there: says the probabilities that the archive has, 0 to 1, and explains none.

    Without probabilities, it stands for the rules alone.
    """

    def __init__(self, version: str, probabilities: Sequence[float] | None = None) -> None:
        self.card = dataclasses.replace(RULES_ONLY, version=version)
        self._probabilities = probabilities

    def predict(self, rows: Matrix) -> Prediction:
        """See `services.scoring.ports.Model`."""
        silence = silent(len(rows))
        return silence if self._probabilities is None else silence._replace(probabilities=self._probabilities)


class Journeys:
    """The features of users, event by event, as video and features compute them."""

    def __init__(self) -> None:
        self._video = VideoServicer(Playback(MemoryState(), MemoryShards()), Metrics())
        self._features = FeaturesServicer(Features(MemoryState()), Metrics())

    async def apply(self, shard: str, sequences: Sequence[int], rows: Rows, groups: Groups) -> Applied:
        """Applies whole records of one shard, ascending."""
        position = position_pb2.BatchPosition(stream=_STREAM, shard=shard, sequences=map(str, sequences))
        played = [row for row, event in enumerate(rows.events) if event.event_type == _PLAYBACK]
        engagements = []
        if played:
            asked = video_pb2.ApplyPlaybackRequest(position=position, events=[rows.events[row] for row in played])
            scores = (await self._video.ApplyPlayback(asked, _NO_CONTEXT)).engagement_scores
            engagements = [
                features_pb2.EngagementUpdate(row=row, score=score) for row, score in zip(played, scores, strict=True)
            ]
        request = features_pb2.ApplyEventsRequest(
            position=position, events=rows.events, engagements=engagements, assessed_rows=sorted(groups.last)
        )
        return Applied(position, rows, groups, await self._features.ApplyEvents(request, _NO_CONTEXT))


class Deriving:
    """Scores and decides. State carries over from one model or policy to the next, as in service."""

    def __init__(self) -> None:
        self._models, self._pages = _LiveModel(), _CollectingLedger()
        self._scoring = Scoring(self._models, MemoryState())
        self._stores = Stores(MemoryState(), MemoryShards(), self._pages, MemoryOutbox(), NoReports())
        self._deciding: dict[str, Deciding] = {}

    async def derive(self, batch: Applied, shares: Sequence[Share], policy: Policy) -> Mapping[int, Block]:
        """The decisions of models and a policy on a batch, as blocks by sequence number.

        Each group is in one share, and all groups of a user in the same.
        """
        position, rows, groups, features = batch
        vectors = vectors_of(rows, groups, features)
        assessed = await self._assessed(assess_request(position, rows, groups, features, vectors), shares)
        request = decide_request(position, rows, groups, features, vectors, assessed)
        await self._by(policy).decide(applied.batch(position), rows_of(request))
        return self._pages.take()

    async def _assessed(
        self, request: scoring_pb2.AssessUsersRequest, shares: Sequence[Share]
    ) -> scoring_pb2.AssessUsersResponse:
        rows, position = scoring_rows(request), applied.batch(request.position)
        messages: dict[int, scoring_pb2.Assessment] = {}
        answer = scoring_pb2.AssessUsersResponse(rules_version=RULES_VERSION)
        for model, groups in shares:
            self._models.model = model
            its = await self._scoring.assess(rows.at(groups), position)
            messages |= zip(groups, map(assessment_message, its.assessments, its.told), strict=True)
            answer.other_models.add(model_version=its.model_version, rows=groups)
            for version, outcome in its.outcomes.items():
                answer.model_outcomes.add(model_version=version, outcome=outcome)
        answer.model_version = answer.other_models.pop(0).model_version
        answer.assessments.extend(messages[group] for group in range(len(messages)))
        return answer

    async def note_undelivered(self, undelivered: Mapping[str, Undelivered]) -> None:
        """Records messages to users that were never delivered."""
        items = {UNDELIVERED.key(user): UNDELIVERED.encode(its) for user, its in undelivered.items()}
        await self._stores.state.save(items, None)

    def _by(self, policy: Policy) -> Deciding:
        if policy.version not in self._deciding:
            timeline = Timeline([(DatedPolicy(0, policy.version, ""), policy)])
            policies = Policies(MemoryPolicies([]), MemoryPolicies(), parse, _beginning, timeline)
            self._deciding[policy.version] = Deciding(
                policies,
                *self._stores,
                SilentObserver(),
                LocalListeners(limit=0),
                NoCopywriting(),
                lambda: None,
                _beginning,
            )
        return self._deciding[policy.version]


class _LiveModel:
    """Gives the model that was set last as the live one."""

    model: Model

    def served(self) -> Served:
        """See `services.scoring.ports.Models`."""
        return Served({EVERYBODY: Serving(self.model)})


class _CollectingLedger(MemoryLedger):
    """A ledger that keeps recorded blocks until they are taken, and then nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._recorded: dict[int, Block] = {}

    def take(self) -> Mapping[int, Block]:
        """The blocks recorded since they were last taken."""
        recorded, self._recorded = self._recorded, {}
        return recorded

    async def record(self, entries: Sequence[Entry]) -> None:
        """See `services.intervention.decision.ports.Ledger`."""
        self._recorded.update((each.sequence, pages.decode(each.block)) for each in entries)


def _beginning() -> int:
    """A clock for the outbox, which nobody empties here."""
    return 0
