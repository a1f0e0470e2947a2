"""The verbs of the video service: fetch through ports, apply in the domain, record through ports."""

import dataclasses
from collections.abc import Sequence

from mesh import applied
from mesh.applied import Batch
from mesh.errors import NotFound
from mesh.state import Shards, StateStore
from services.video.domain import retention, viewer
from services.video.domain.playback import Beat
from services.video.domain.retention import Curve
from services.video.domain.viewer import Viewer


@dataclasses.dataclass(frozen=True, slots=True)
class Playback:
    """Applies beats, and reads viewers and videos."""

    state: StateStore
    shards: Shards

    async def apply(self, batch: Batch, beats: Sequence[Beat]) -> list[float]:
        """Applies the beats; gives the engagement of each beat's viewer after it."""
        users = list(dict.fromkeys([_user_key(beat.user_id) for beat in beats]))
        videos = list(dict.fromkeys([_video_key(batch.shard, beat.video_id) for beat in beats]))
        keys = [*users, *videos]
        blobs = dict(zip(keys, await self.state.load(keys), strict=True))
        of_users = {key: applied.opened(blobs[key], batch, viewer.opened) for key in users}
        of_videos = {key: applied.opened(blobs[key], batch, retention.decode) for key in videos}
        viewers = {key: watching for key, (_, watching) in of_users.items()}
        counts = {key: of_video for key, (_, of_video) in of_videos.items()}
        resumed = {key: each for key, (each, _) in (*of_users.items(), *of_videos.items())}
        scores = []
        for beat in beats:
            watching = viewers[_user_key(beat.user_id)]
            effect, is_new_viewer = viewer.watch(watching, beat)
            # A script's plays tell nothing of how people watch.
            if not beat.is_bot:
                of_video = counts[_video_key(batch.shard, beat.video_id)]
                retention.count(of_video, effect, is_new_viewer=is_new_viewer)
            scores.append(viewer.overall(watching.viewer))
        after = {key: viewer.closed(each) for key, each in viewers.items()}
        after |= {key: retention.encode(each) for key, each in counts.items()}
        if any(blobs[key] is None for key in videos):
            await self.shards.add(batch.shard)
        items = applied.kept_aside(resumed) | {key: applied.seal(resumed[key], after[key], batch) for key in keys}
        await self.state.save(items, batch.fence)
        return scores

    async def viewer(self, user_id: str) -> Viewer:
        """A viewer with the videos watched last."""
        (blob,) = await self.state.load([_user_key(user_id)])
        found = applied.readable(blob, viewer.decode)
        if not found.cards:
            raise NotFound("USER_NOT_FOUND", "This user has watched nothing.")
        return found

    async def video(self, video_id: str) -> Curve:
        """A video, summed over the shards of its viewers."""
        shards = await self.shards.all()
        keys = [_video_key(shard, video_id) for shard in shards]
        dense_keys = [_dense_video_key(shard, video_id) for shard in shards]
        blobs = await self.state.load([*keys, *dense_keys])
        found = [applied.readable(blob, retention.decode) for blob in blobs[: len(keys)] if blob is not None]
        dense = [retention.decode_dense(applied.current(blob)) for blob in blobs[len(keys) :] if blob is not None]
        curve = retention.curve([*found, *dense])
        if not curve.viewer_count:
            raise NotFound("VIDEO_NOT_FOUND", "Nobody has watched this video.")
        return curve


def _user_key(user_id: str) -> str:
    return f"user:{user_id}"


def _video_key(shard: str, video_id: str) -> str:
    return f"curve:{shard}:{video_id}"


def _dense_video_key(shard: str, video_id: str) -> str:
    """Where counts of the first version stand until their lifetime ends; they are added, and never written again."""
    return f"video:{shard}:{video_id}"
