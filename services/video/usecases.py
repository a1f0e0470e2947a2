"""The verbs of the video service: fetch through ports, apply in the domain, record through ports."""

import dataclasses
from collections.abc import Sequence

from mesh import keyed
from mesh.applied import Batch
from mesh.errors import NotFound
from mesh.state import Shards, StateStore
from services.video.domain import retention, viewer
from services.video.domain.playback import Beat
from services.video.domain.retention import Counts, Curve
from services.video.domain.viewer import Viewer
from services.video.states import CURVES, DENSE_CURVES, OPEN_VIEWERS, VIEWERS, video_name


@dataclasses.dataclass(frozen=True, slots=True)
class Playback:
    """Applies beats, and reads viewers and videos."""

    state: StateStore
    shards: Shards

    async def apply(self, batch: Batch, beats: Sequence[Beat]) -> list[float]:
        """Applies the beats; gives the engagement of each beat's viewer after it."""
        viewers = keyed.Changed(OPEN_VIEWERS, [beat.user_id for beat in beats])
        curves = keyed.Changed(CURVES, [video_name(batch.shard, beat.video_id) for beat in beats])
        scores = []
        async with keyed.batch(self.state, batch, viewers, curves):
            has_new_video = Counts() in curves.states.values()
            for beat in beats:
                watching = viewers.states[beat.user_id]
                effect, is_new_viewer = viewer.watch(watching, beat)
                # A script's plays tell nothing of how people watch.
                if not beat.is_bot:
                    counts = curves.states[video_name(batch.shard, beat.video_id)]
                    retention.count(counts, effect, is_new_viewer=is_new_viewer)
                scores.append(viewer.overall(watching.viewer))
            if has_new_video:
                await self.shards.add(batch.shard)
        return scores

    async def viewer(self, user_id: str) -> Viewer:
        """A viewer with the videos watched last."""
        found = await keyed.read(self.state, VIEWERS, user_id)
        if not found.cards:
            raise NotFound("USER_NOT_FOUND", "This user has watched nothing.")
        return found

    async def video(self, video_id: str) -> Curve:
        """A video, summed over the shards of its viewers."""
        shards = await self.shards.all()
        names = [video_name(shard, video_id) for shard in shards]
        curves, dense = keyed.Seen(CURVES, names), keyed.Seen(DENSE_CURVES, names)
        await keyed.look(self.state, curves, dense)
        curve = retention.curve([*curves.states.values(), *dense.states.values()])
        if not curve.viewer_count:
            raise NotFound("VIDEO_NOT_FOUND", "Nobody has watched this video.")
        return curve
