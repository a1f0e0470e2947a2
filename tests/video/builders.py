"""Beats and services for tests."""

import itertools
from collections.abc import Sequence

from mesh.applied import Batch
from mesh.states.memory import MemoryShards, MemoryState
from services.video.domain.playback import Action, Beat, length_ms
from services.video.usecases import Playback

# 2026-01-07, 19:30 in Berlin.
EVENING = 1_767_810_600_000_000
SECOND = 1_000_000


def beat(
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
) -> Beat:
    """A beat that played from `start` to `end`, in seconds, made `at` seconds after the evening began."""
    return Beat(
        user_id=user,
        video_id=video,
        viewing=viewing,
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


def plays(beats: Sequence[Beat]) -> list[tuple[Beat, int, int]]:
    """What was played, in milliseconds, as it is defined: each stand once, from its earliest start."""
    stretches: list[tuple[Beat, int, int]] = []
    for who in {(each.user_id, each.video_id, each.viewing) for each in beats}:
        own = {each for each in beats if (each.user_id, each.video_id, each.viewing) == who}
        in_order = sorted(own, key=lambda each: (each.at_us, each.end_ms, each.start_ms))
        for end_ms, stand in itertools.groupby(in_order, key=lambda each: each.end_ms):
            standing = list(stand)
            stretches.append((standing[0], min(each.start_ms for each in standing), end_ms))
    return stretches


def played(
    start: int, end: int, *, at: int = 0, user: str = "ada", video: str = "v", viewing: str = "w1"
) -> list[Beat]:
    """Beats every ten seconds from `start` to `end`."""
    return [
        beat(second, min(second + 10, end), at=at + second - start + 10, user=user, video=video, viewing=viewing)
        for second in range(start, end, 10)
    ]


def keen_learner() -> list[Beat]:
    """Worked example 3: 85% of ten minutes, three replayed segments, much interaction, in the evening."""
    beats = [beat(action=Action.PLAY), *played(0, 510)]
    at = 520
    for start, end in ((60, 90), (200, 230), (400, 420)):
        beats += [
            beat(start, start, at=at, action=Action.SEEK, seek_from=510),
            *played(start, end, at=at),
            beat(end, end, at=at + 40, action=Action.PAUSE),
        ]
        at += 60
    return [*beats, beat(420, 420, at=at, action=Action.RATE_CHANGE)]


class World:
    """The service over memory."""

    def __init__(self) -> None:
        self.state = MemoryState()
        self.shards = MemoryShards()
        self.playback = Playback(self.state, self.shards)
        self.sequence = 0

    async def deliver(self, first: int, records: Sequence[Sequence[Beat]], shard: str = "3") -> list[float]:
        """Applies a batch of records whose sequence numbers begin at `first`."""
        batch = Batch("events", shard, tuple(range(first, first + len(records))))
        return await self.playback.apply(batch, [each for record in records for each in record])

    async def send(self, *beats: Beat, shard: str = "3") -> list[float]:
        """Applies one more record."""
        self.sequence += 1
        return await self.deliver(self.sequence, [beats], shard)
