"""The dispatcher has features leave out what no model in service takes."""

from journeymesh.common.v1 import position_pb2

from tests.builders import event
from tests.ingest.harness import Harness, running


def asked(harness: Harness) -> list[tuple[str, bool]]:
    """What the steps were asked since the last look, and whether history was left out for it."""
    found = [
        (name, getattr(request, "leaves_out_history", False))
        for (name, _), request in zip(harness.steps.log, harness.steps.requests, strict=True)
    ]
    harness.steps.log.clear()
    harness.steps.requests.clear()
    return found


async def taken(harness: Harness, event_id: str) -> list[tuple[str, bool]]:
    await harness.accept(event(event_id))
    await harness.dispatch()
    return asked(harness)


async def test_history_is_left_out_once_scoring_says_that_no_model_takes_it() -> None:
    async with running() as harness:
        usual = [("features", False), ("scoring", False), ("intervention", False)]
        assert await taken(harness, "1") == usual
        harness.steps.ignores_history = True
        assert await taken(harness, "2") == usual
        assert await taken(harness, "3") == [("features", True), ("scoring", False), ("intervention", False)]


async def test_a_batch_without_history_is_repeated_with_it_before_anything_is_decided_on_it() -> None:
    async with running() as harness:
        harness.steps.ignores_history = True
        await taken(harness, "1")
        harness.steps.ignores_history = False
        await harness.accept(event("2"))
        await harness.dispatch()
        positions: list[position_pb2.BatchPosition] = [each.position for each in harness.steps.requests]
        assert all(each == positions[0] for each in positions)
        assert asked(harness) == [
            ("features", True),
            ("scoring", False),
            ("features", False),
            ("scoring", False),
            ("intervention", False),
        ]
        assert (await taken(harness, "3"))[0] == ("features", False)
