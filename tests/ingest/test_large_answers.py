"""What does not fit into a message is asked for in pieces: it stops no shard."""

from typing import Any

import pytest
from journeymesh.common.v1 import event_pb2
from journeymesh.features.v1 import features_pb2
from journeymesh.intervention.v1 import intervention_pb2

from mesh.errors import TooLarge
from mesh.rpc.channel import MAX_MESSAGE_BYTES, in_pieces
from services.ingest.dispatch import parts
from services.ingest.dispatch.translation.journeys import Departure
from tests.builders import event
from tests.ingest.harness import running
from tests.ingest.peers import Steps, recording


class Large(Steps):
    """Journeys of about 1 MB a user, and decisions that are too large for more than `most` events."""

    most = 1_000
    journey_bytes = 0

    async def BatchListRecentEvents(self, request: Any, context: Any) -> features_pb2.BatchListRecentEventsResponse:
        for user_id in request.user_ids:
            self.recent[user_id] = [
                event(f"{user_id}-{number}", user_id, properties=b" " * (self.journey_bytes // 20))
                for number in range(20)
            ]
        return await super().BatchListRecentEvents(request, context)

    async def DecideInterventions(self, request: Any, context: Any) -> Any:
        if len(request.user_ids) > self.most or "large" in request.user_ids:
            large = intervention_pb2.StandingRow(standing=bytes(MAX_MESSAGE_BYTES))
            return intervention_pb2.DecideInterventionsResponse(standings=[large])
        return await super().DecideInterventions(request, context)


def large() -> Large:
    return Large(recording().fault)  # type: ignore[abstract]


@pytest.mark.parametrize(("journeys", "journey_bytes"), [(45, 1 << 20), (3, 12 << 20), (120, 1 << 12), (1, 20 << 20)])
async def test_journeys_that_fill_more_than_a_message_move_all_the_same(journeys: int, journey_bytes: int) -> None:
    steps = large()
    steps.journey_bytes = journey_bytes
    async with running(steps) as harness:
        linked = [event(f"l{n}", f"a{n}", "identify", linked_user_id=f"u{n}") for n in range(journeys)]
        moving = [Departure(each, event_pb2.Carried()) for each in linked]
        await harness.dispatcher.steps._move_journeys(moving)
        assert {each for asked in steps.asked for each in asked} == {f"a{n}" for n in range(journeys)}


@pytest.mark.parametrize("most", [1, 3, 7])
async def test_decisions_that_fill_more_than_a_message_are_asked_for_in_smaller_batches(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(parts, "_ONCE", (0.0,))
    steps = large()
    steps.most = most
    async with running(steps) as harness:
        names = [f"e{number}" for number in range(10)]
        for name in names:
            await harness.accept(event(name))
        await harness.dispatch()
        assert harness.applied("intervention") == names
        assert await harness.failed.list(10, "") == ([], "")


async def test_one_event_with_too_large_a_decision_is_set_aside() -> None:
    async with running(large()) as harness:
        group = harness.stream.ordering_group("large")
        user = next(name for name in map(str, range(99)) if harness.stream.ordering_group(name) == group)
        for number, name in enumerate([user, "large", user]):
            await harness.accept(event(f"e{number}", name))
        await harness.dispatch()
        assert harness.applied("intervention") == ["e0", "e2"]
        ((failed,), _) = await harness.failed.list(10, "")
        assert failed.event_id == "e1"


@pytest.mark.parametrize("fits", [1, 2, 3, 50])
async def test_pieces_come_in_their_order(fits: int) -> None:
    async def ask(items: Any) -> Any:
        if len(items) > fits:
            raise TooLarge("INTERNAL", "Too large.")
        return [str(item) for item in items]

    assert await in_pieces(ask, range(50)) == list(map(str, range(50)))


async def test_one_item_that_is_too_large_is_told() -> None:
    async def ask(_items: Any) -> Any:
        raise TooLarge("INTERNAL", "Too large.")

    with pytest.raises(TooLarge):
        await in_pieces(ask, ["one"])
    with pytest.raises(TooLarge):
        await in_pieces(ask, ["one", "two"])
