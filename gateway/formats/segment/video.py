"""What Segment's video specification tells of a player, as `properties` of a `video_playback`.

The specification tells positions, not what was played between them. Within a request it can be told: from one message
of a viewing to the next the position moved on as far as time allows. A heartbeat that comes alone stands for the ten
seconds the specification puts between two, which is a guess: the video service bounds it by how far the viewing has
come since its beat in an earlier request. `watchedSeconds` in the properties says it exactly, and is believed.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from gateway.formats.segment import names, told
from gateway.formats.segment.names import Meaning

_HEARTBEAT_SECONDS: Final = 10.0
# How fast media may play, and how exactly positions are told: whole seconds.
_FASTEST: Final = 2.0
_SLACK_SECONDS: Final = 1.0


class Beat(NamedTuple):
    """Where a viewing was at a time, in seconds and in Unix seconds of the client's clock."""

    position: float
    at: float


Viewings = dict[tuple[str, str, str], Beat]
"""The last beat of each viewing in a request: by user, viewing and video."""


def playback(
    members: Mapping[str, msgspec.Raw], meaning: Meaning, user_id: str, at: float, viewings: Viewings
) -> dict[str, Any]:
    """The members of a `video_playback`; none where no video is named, as when nothing but advertisements is left."""
    video_id = told.name(members, "asset_id", "content_asset_id", "content_asset_ids") or _first(members)
    if not video_id:
        return {}
    position = _seconds(members, "position") or 0.0
    playing: dict[str, Any] = {
        "videoId": video_id,
        "action": meaning.action,
        "viewingId": told.name(members, "session_id"),
        "durationSeconds": _seconds(members, "total_length"),
        "contentType": told.name(members, "genre"),
    }
    if meaning.action == names.SEEK:
        destination = _seconds(members, "seek_position")
        playing["seekFromSeconds"] = position
        position = position if destination is None else destination
    playing["positionSeconds"] = position
    exact = told.number(members, "watchedSeconds")
    before = viewings.get(viewing := (user_id, playing["viewingId"], video_id))
    viewings[viewing] = beat = Beat(position, at)
    if meaning.action != names.SEEK:
        watched = _watched(meaning.action, beat, before) if exact is None else exact
        playing["watchedSeconds"] = min(max(0.0, watched), position)
        playing["isWatchedGuessed"] = watched > 0 and exact is None and before is None
    return {name: value for name, value in playing.items() if value}


def _watched(action: str, beat: Beat, before: Beat | None) -> float:
    if before is None:
        return _HEARTBEAT_SECONDS if action == names.HEARTBEAT else 0.0
    moved = beat.position - before.position
    is_played = 0 < moved <= _FASTEST * (beat.at - before.at) + _SLACK_SECONDS
    return moved if is_played else 0.0


def _seconds(members: Mapping[str, msgspec.Raw], name: str) -> float | None:
    """A length of time; none where it is unknown, which players of live streams tell as -1 and the like."""
    seconds = told.number(members, name)
    return None if seconds is None else max(0.0, seconds)


def _first(members: Mapping[str, msgspec.Raw]) -> str:
    """The first of several videos that are named."""
    written = members.get("content_asset_ids")
    if written is None or not bytes(written).startswith(b"["):
        return ""
    several = msgspec.json.decode(written, type=list[msgspec.Raw])
    return told.name({"first": several[0]}, "first") if several else ""
