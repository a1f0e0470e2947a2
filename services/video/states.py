"""What the video service keeps: viewers, and the counts of each video per shard."""

import itertools
from array import array
from typing import Final

import msgspec

from mesh.state.keyed import StateKind
from services.video.domain import viewer
from services.video.domain.playback import LONGEST_MS
from services.video.domain.retention import Counts
from services.video.domain.viewer import OpenViewer, Viewer


class _Packed(msgspec.Struct, array_like=True):
    version: int
    viewer_count: int
    seconds: bytes
    seen: bytes
    played: bytes
    lengths: dict[int, int]


class _PackedDense(msgspec.Struct, array_like=True):
    """The first version, under keys of its own: steps at each second from 0 on, and the greatest reported length."""

    duration_ms: int
    viewer_count: int
    seen: bytes
    played: bytes


_VERSION: Final = 2
_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(_Packed).decode
_DECODE_DENSE: Final = msgspec.msgpack.Decoder(_PackedDense).decode
_DECODE_VIEWER: Final = msgspec.msgpack.Decoder(Viewer).decode


def video_name(shard: str, video_id: str) -> str:
    """The key of a video's counts in a shard."""
    return f"{shard}:{video_id}"


def _encode(counts: Counts) -> bytes:
    seconds, seen, played = counts.seconds.tobytes(), counts.seen.tobytes(), counts.played.tobytes()
    return _ENCODE(_Packed(_VERSION, counts.viewer_count, seconds, seen, played, counts.lengths))


def _decode(blob: bytes) -> Counts:
    if not blob:
        return Counts()
    packed = _DECODE(blob)
    return Counts(
        packed.viewer_count,
        array("H", packed.seconds),
        array("i", packed.seen),
        array("i", packed.played),
        packed.lengths,
    )


def _decode_dense(blob: bytes) -> Counts:
    if not blob:
        return Counts()
    packed = _DECODE_DENSE(blob)
    seen, played = array("i", packed.seen), array("i", packed.played)
    steps = [
        (second, *step)
        for second, step in enumerate(itertools.zip_longest(seen, played, fillvalue=0))
        if step != (0, 0)
    ]
    seconds, seen_steps, played_steps = zip(*steps, strict=True) if steps else ((), (), ())
    # The greatest possible length was an error.
    durations = {packed.duration_ms: 1} if 0 < packed.duration_ms < LONGEST_MS else {}
    return Counts(packed.viewer_count, array("H", seconds), array("i", seen_steps), array("i", played_steps), durations)


def _decode_viewer(blob: bytes) -> Viewer:
    return _DECODE_VIEWER(blob) if blob else Viewer()


def _open_viewer(blob: bytes) -> OpenViewer:
    return viewer.opened(_decode_viewer(blob))


def _close_viewer(open_viewer: OpenViewer) -> bytes:
    return _ENCODE(viewer.closed(open_viewer))


VIEWERS: Final = StateKind[Viewer]("user:", _decode_viewer, _ENCODE)
"""By user, as they are read."""
OPEN_VIEWERS: Final = StateKind("user:", _open_viewer, _close_viewer)
"""The same, while events are applied to them."""
CURVES: Final = StateKind("curve:", _decode, _encode)
"""By `video_name`."""
DENSE_CURVES: Final = StateKind("video:", _decode_dense, _encode)
"""Counts of the first version, until their lifetime ends; they are added up and never written again."""
