"""Maps the events of Segment's video specification to the `properties` of a `video_playback`.

The specification reports positions, not what was played between them. Within a request that can be derived: from one
message of a playback session to the next, the position moved by no more than the time that passed. A lone heartbeat
stands for the ten seconds that the specification puts between two. That is a guess, which the video service limits by
how far the session has come since an earlier request. `watchedSeconds` in the properties is exact, and trusted.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from gateway.formats.segment import names, values
from gateway.formats.segment.names import Meaning

_HEARTBEAT_SECONDS: Final = 10.0
# How fast media may play, and how precise positions are: whole seconds.
_FASTEST: Final = 2.0
_SLACK_SECONDS: Final = 1.0


class Playhead(NamedTuple):
    """A position in a video, and when it was reported, in Unix seconds of the client's clock."""

    position: float
    at: float


Playheads = dict[tuple[str, str, str], Playhead]
"""The last playhead of each playback session in a request, by user, session and video."""


def playback(
    members: Mapping[str, msgspec.Raw], meaning: Meaning, user_id: str, at: float, playheads: Playheads
) -> dict[str, Any]:
    """The members of a `video_playback`; none if no video is named, as with advertisements alone."""
    video_id = values.name(members, "asset_id", "content_asset_id", "content_asset_ids") or _first(members)
    if not video_id:
        return {}
    position = _seconds(members, "position") or 0.0
    playing: dict[str, Any] = {
        "videoId": video_id,
        "action": meaning.action,
        "viewingId": values.name(members, "session_id"),
        "durationSeconds": _seconds(members, "total_length"),
        "contentType": values.name(members, "genre"),
    }
    if meaning.action == names.SEEK:
        destination = _seconds(members, "seek_position")
        playing["seekFromSeconds"] = position
        position = position if destination is None else destination
    playing["positionSeconds"] = position
    exact = values.number(members, "watchedSeconds")
    before = playheads.get(session := (user_id, playing["viewingId"], video_id))
    playheads[session] = playhead = Playhead(position, at)
    if meaning.action != names.SEEK:
        watched = _watched(meaning.action, playhead, before) if exact is None else exact
        playing["watchedSeconds"] = min(max(0.0, watched), position)
        playing["isWatchedGuessed"] = watched > 0 and exact is None and before is None
    return {name: value for name, value in playing.items() if value}


def _watched(action: str, playhead: Playhead, before: Playhead | None) -> float:
    if before is None:
        return _HEARTBEAT_SECONDS if action == names.HEARTBEAT else 0.0
    moved = playhead.position - before.position
    is_played = 0 < moved <= _FASTEST * (playhead.at - before.at) + _SLACK_SECONDS
    return moved if is_played else 0.0


def _seconds(members: Mapping[str, msgspec.Raw], name: str) -> float | None:
    """A length of time; None if unknown. Players of live streams report -1 and the like."""
    seconds = values.number(members, name)
    return None if seconds is None else max(0.0, seconds)


def _first(members: Mapping[str, msgspec.Raw]) -> str:
    """The first of several videos."""
    written = members.get("content_asset_ids")
    if written is None or not bytes(written).startswith(b"["):
        return ""
    several = msgspec.json.decode(written, type=list[msgspec.Raw])
    return values.name({"first": several[0]}, "first") if several else ""
