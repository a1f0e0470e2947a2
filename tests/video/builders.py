"""Playback events and services for tests."""

from collections.abc import Sequence

from mesh.state.applied import Batch
from mesh.state.memory import MemoryShards, MemoryState
from services.video.domain.playback import Action, PlaybackEvent, length_ms
from services.video.domain.trail import JITTER_MS
from services.video.usecases import Playback

# 2026-01-07, 19:30 in Berlin.
EVENING = 1_767_810_600_000_000
SECOND = 1_000_000


def playback_event(
    start: float = 0,
    end: float = 0,
    *,
    at: float = 0,
    action: Action = Action.HEARTBEAT,
    user: str = "ada",
    video: str = "v",
    viewing: str = "w1",
    duration: float = 600,
    seek_from: float = 0,
    content_type: str = "interactive",
    topic: str = "loans",
    is_bot: bool = False,
    zone: str = "Europe/Berlin",
    received: float | None = None,
    is_guessed: bool = False,
) -> PlaybackEvent:
    """Playback from `start` to `end`, in seconds, reported `at` seconds after the evening began."""
    return PlaybackEvent(
        user_id=user,
        video_id=video,
        session_id=viewing,
        action=action,
        start_ms=round(start * 1000),
        end_ms=round(end * 1000),
        duration_ms=length_ms(duration),
        seek_from_ms=round(seek_from * 1000),
        at_us=EVENING + round(at * SECOND),
        content_type=content_type,
        topic=topic,
        time_zone=zone,
        is_bot=is_bot,
        received_us=0 if received is None else EVENING + round(received * SECOND),
        is_guessed=is_guessed,
    )


def plays(events: Sequence[PlaybackEvent]) -> list[tuple[PlaybackEvent, int, int]]:
    """What was played, in whole seconds given in milliseconds, by definition: in each run every second once."""
    stretches: list[tuple[PlaybackEvent, int, int]] = []
    for who in {(each.user_id, each.video_id, each.session_id) for each in events}:
        own = {each for each in events if (each.user_id, each.video_id, each.session_id) == who}
        in_order = sorted(own, key=_in_time)
        run: set[int] = set()
        reach_ms = begun_ms = 0
        for each in in_order:
            if each.action is Action.SEEK or each.end_ms < reach_ms - JITTER_MS or each is in_order[0]:
                run, reach_ms = set(), 0
                begun_ms = each.end_ms if each.action is Action.SEEK else each.start_ms
                begun_ms = begun_ms if each.action in {Action.SEEK, Action.PLAY} else 0
            reach_ms = max(reach_ms, each.end_ms)
            claimed = range(max(each.start_ms, begun_ms) // 1000, each.end_ms // 1000)
            stretches += [(each, 1000 * second, 1000 * second + 1000) for second in claimed if second not in run]
            run.update(claimed)
    return stretches


def _in_time(of: PlaybackEvent) -> tuple[int, int, int, int]:
    return of.at_us, of.end_ms, 0 if of.action is Action.SEEK else of.end_ms - of.start_ms, of.action


def in_time(events: Sequence[PlaybackEvent]) -> list[PlaybackEvent]:
    """Playback events in the order of their time."""
    return sorted(events, key=_in_time)


def played(
    start: int, end: int, *, at: int = 0, user: str = "ada", video: str = "v", viewing: str = "w1"
) -> list[PlaybackEvent]:
    """Playback events every ten seconds from `start` to `end`."""
    return [
        playback_event(
            second, min(second + 10, end), at=at + second - start + 10, user=user, video=video, viewing=viewing
        )
        for second in range(start, end, 10)
    ]


def keen_learner() -> list[PlaybackEvent]:
    """Worked example 3: 85% of ten minutes, three replayed segments, much interaction, in the evening."""
    events = [playback_event(action=Action.PLAY), *played(0, 510)]
    at = 520
    for start, end in ((60, 90), (200, 230), (400, 420)):
        events += [
            playback_event(start, start, at=at, action=Action.SEEK, seek_from=510),
            *played(start, end, at=at),
            playback_event(end, end, at=at + 40, action=Action.PAUSE),
        ]
        at += 60
    return [*events, playback_event(420, 420, at=at, action=Action.RATE_CHANGE)]


class World:
    """The service over memory."""

    def __init__(self) -> None:
        self.state = MemoryState()
        self.shards = MemoryShards()
        self.playback = Playback(self.state, self.shards)
        self.sequence = 0

    async def deliver(self, first: int, records: Sequence[Sequence[PlaybackEvent]], shard: str = "3") -> list[float]:
        """Applies a batch of records whose sequence numbers begin at `first`."""
        batch = Batch("events", shard, tuple(range(first, first + len(records))))
        return await self.playback.apply(batch, [each for record in records for each in record])

    async def send(self, *events: PlaybackEvent, shard: str = "3") -> list[float]:
        """Applies one more record."""
        self.sequence += 1
        return await self.deliver(self.sequence, [events], shard)
