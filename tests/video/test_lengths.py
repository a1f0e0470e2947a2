"""How long a video is, where players do not agree."""

from hypothesis import given
from hypothesis import strategies as st

from services.video.domain import lengths, playback
from services.video.domain.lengths import Change
from tests.video.builders import World, playback_event, played

REAL, WRONG = 600.0, 36_000.0


async def report(world: World, *reported: float, user: str = "ada") -> None:
    for number, length in enumerate(reported):
        await world.send(playback_event(10 * number, 10 * number + 10, at=10 * number, user=user, duration=length))


async def of_viewer(world: World, user: str = "ada") -> float:
    return playback.decode((await world.playback.viewer(user)).cards["v"].watched).duration_ms / 1000


async def of_video(world: World) -> float:
    return (await world.playback.video("v")).duration_ms / 1000


async def test_a_wrong_length_is_corrected_by_right_ones() -> None:
    world = World()
    await report(world, WRONG, REAL)
    assert await of_viewer(world) == await of_video(world) == REAL, "of as many it is the last"
    await report(world, WRONG, REAL, REAL, user="bob")
    assert await of_viewer(world, "bob") == await of_video(world) == REAL


async def test_a_single_wrong_length_changes_nothing() -> None:
    world = World()
    await report(world, REAL, REAL, WRONG)
    assert await of_viewer(world) == await of_video(world) == REAL


async def test_one_viewer_s_wrong_events_do_not_affect_the_video() -> None:
    world = World()
    for user in ("ada", "bob"):
        await report(world, *[REAL] * 40, user=user)
    await report(world, *[WRONG] * 400, user="eve")
    assert await of_viewer(world, "eve") == WRONG
    assert await of_viewer(world) == await of_video(world) == REAL
    assert len((await world.playback.video("v")).viewers) <= REAL


async def test_a_video_with_a_new_cut_gets_its_new_length_eventually() -> None:
    world = World()
    for number in range(100):
        await report(world, *[REAL] * 16, user=f"old-{number}")
    for number in range(60):
        await report(world, *[650.0] * 16, user=f"new-{number}")
    assert await of_video(world) == 650.0


async def test_a_length_that_no_video_has_is_unknown() -> None:
    world = World()
    await report(world, 7 * 86_400, -0.001, -1.0)
    assert await of_viewer(world) == await of_video(world) == 0
    await world.send(playback_event(30, 40, at=40, duration=REAL))
    assert await of_video(world) == REAL


async def test_shards_are_counted_together() -> None:
    world = World()
    for shard, length, count in (("3", WRONG, 3), ("4", REAL, 2), ("5", REAL, 2)):
        for number in range(count):
            await world.send(playback_event(0, 10, at=number, user=f"user-{shard}", duration=length), shard=shard)
    assert await of_video(world) == REAL


async def test_scripts_do_not_determine_the_length() -> None:
    world = World()
    await world.send(*played(0, 10))
    for number in range(50):
        await world.send(playback_event(0, 10, at=number, user="crawler", duration=WRONG, is_bot=True))
    assert await of_video(world) == REAL


LENGTHS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0, 10, 20, 30])), max_size=100)


@given(LENGTHS)
def test_the_last_lengths_of_each_viewer_count(steps: list[tuple[str, int]]) -> None:
    recent: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    counted: dict[int, int] = {}
    for who, length_ms in steps:
        lengths.count(counted, lengths.remember(recent[who], length_ms))
    expected: dict[int, int] = {}
    for who, remembered in recent.items():
        last = [length_ms for name, length_ms in steps if name == who and length_ms][-lengths.REMEMBERED_LENGTHS :]
        assert remembered == last
        assert lengths.of_viewer(last) in {*last, 0}
        for length_ms in last:
            expected[length_ms] = expected.get(length_ms, 0) + 1
    assert counted == expected
    longest = lengths.of_video([counted])
    assert counted.get(longest, 0) == max(counted.values(), default=0)


@given(st.lists(st.integers(1, 500), max_size=400))
def test_what_is_kept_is_bounded(lengths_ms: list[int]) -> None:
    counted: dict[int, int] = {}
    for length_ms in lengths_ms:
        lengths.count(counted, Change(length_ms))
    assert len(counted) <= lengths.KEPT_LENGTHS
