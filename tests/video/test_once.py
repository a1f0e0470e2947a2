"""Redelivery and cuts of the stream change nothing."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.state import applied
from services.video.domain.playback import Action, PlaybackEvent
from tests.video.builders import World, playback_event

PLAYBACK_EVENTS = st.builds(
    lambda user, video, end, watched, at, action: playback_event(
        max(0, end - watched), end, user=user, video=video, at=at, action=action, duration=60
    ),
    user=st.sampled_from(["ada", "bob"]),
    video=st.sampled_from(["v", "w"]),
    end=st.integers(0, 60),
    watched=st.integers(0, 12),
    at=st.integers(0, 90),
    action=st.sampled_from([Action.HEARTBEAT, Action.PAUSE, Action.SEEK]),
)
RECORDS = st.lists(st.lists(PLAYBACK_EVENTS, min_size=1, max_size=5), min_size=1, max_size=6)
CUTS = st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=8)


async def everything(world: World) -> dict[str, bytes]:
    return {key: applied.current(blob) for key, blob in world.state._values.items()}


@settings(deadline=None)
@given(RECORDS, CUTS)
async def test_cuts_and_redeliveries_change_nothing(
    records: list[list[PlaybackEvent]], cuts: list[tuple[int, bool]]
) -> None:
    once = World()
    expected = [await once.deliver(sequence, [events]) for sequence, events in enumerate(records)]
    world, checkpoint = World(), 0
    while checkpoint < len(records):
        length, is_checkpointed = cuts.pop() if cuts else (1, True)
        end = min(checkpoint + length, len(records))
        scores = await world.deliver(checkpoint, records[checkpoint:end])
        assert scores == [score for record in expected[checkpoint:end] for score in record]
        checkpoint = end if is_checkpointed else checkpoint
    assert await everything(world) == await everything(once)
