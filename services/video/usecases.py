"""The use cases of the video service: fetch through ports, apply in the domain, record through ports."""

import dataclasses
from collections.abc import Sequence

from mesh.errors import NotFound
from mesh.state import erasing, exporting, keyed
from mesh.state.applied import Batch
from mesh.state.port import Shards, StateStore
from services.video.domain import retention, viewer
from services.video.domain.playback import PlaybackEvent
from services.video.domain.retention import Counts, Curve
from services.video.domain.viewer import Viewer
from services.video.states import CURVES, DENSE_CURVES, OPEN_VIEWERS, VIEWERS, video_name


@dataclasses.dataclass(frozen=True, slots=True)
class Playback:
    """Applies playback events, and reads viewers and videos."""

    state: StateStore
    shards: Shards

    async def apply(self, batch: Batch, events: Sequence[PlaybackEvent]) -> list[float]:
        """Applies the events; returns, per event, the viewer's engagement after it."""
        viewers = keyed.Changed(OPEN_VIEWERS, [event.user_id for event in events])
        curves = keyed.Changed(CURVES, [video_name(batch.shard, event.video_id) for event in events])
        scores = []
        async with keyed.batch(self.state, batch, viewers, curves):
            has_new_video = Counts() in curves.states.values()
            for event in events:
                watching = viewers.states[event.user_id]
                effect, is_new_viewer = viewer.watch(watching, event)
                # A script's plays say nothing about how people watch.
                if not event.is_bot:
                    counts = curves.states[video_name(batch.shard, event.video_id)]
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

    async def kept(self, user_ids: Sequence[str]) -> dict[str, int]:
        """How many entries are kept of a person with these ids, by store. The counts of videos are about nobody."""
        return {"video.viewers": await erasing.count(self.state, [*map(VIEWERS.key, user_ids)])}

    async def erase(self, user_ids: Sequence[str]) -> None:
        """Erases what is kept of a person with these ids. May be repeated.

        Raises:
            Unavailable: some may be erased.
        """
        await erasing.erase(self.state, [*map(VIEWERS.key, user_ids)])

    async def export(self, user_ids: Sequence[str]) -> list[exporting.Record]:
        """All that is kept of a person with these ids.

        Raises:
            ResourceExhausted: `EXPORT_TOO_LARGE`.
            Unavailable: the store cannot be reached.
        """
        return exporting.bounded(await exporting.states(self.state, "video.viewers", VIEWERS, user_ids))

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
