"""What Segment's video specification tells of a player, as `properties` of a `video_playback`.

The specification tells positions, not what was played between them. Within a request it can be told: from one message
of a viewing to the next the position moved on as far as time allows. A heartbeat that comes alone stands for the ten
seconds the specification puts between two. `watchedSeconds` in the properties says it exactly, and is believed.
"""

from typing import Any, Final, NamedTuple

import msgspec

from gateway.segment import names
from gateway.segment.names import Meaning
from gateway.segment.told import number, text

_HEARTBEAT_SECONDS: Final = 10.0
# How fast media may play, and how exactly positions are told: whole seconds.
_FASTEST: Final = 2.0
_SLACK_SECONDS: Final = 1.0


class VideoProperties(msgspec.Struct):
    """The members of the specification that are read; whatever they hold."""

    session_id: Any = None
    content_asset_id: Any = None
    content_asset_ids: Any = None
    asset_id: Any = None
    position: Any = None
    seek_position: Any = None
    total_length: Any = None
    genre: Any = None
    watched_seconds: Any = msgspec.field(name="watchedSeconds", default=None)


class Beat(NamedTuple):
    """Where a viewing was at a time, in seconds and in Unix seconds of the client's clock."""

    position: float
    at: float


Viewings = dict[tuple[str, str, str], Beat]
"""The last beat of each viewing in a request: by user, viewing and video."""

decode: Final = msgspec.json.Decoder(VideoProperties).decode


def playback(told: VideoProperties, meaning: Meaning, user_id: str, at: float, viewings: Viewings) -> dict[str, Any]:
    """The members of a `video_playback`; none where no video is named, as when nothing but advertisements is left."""
    video_id = text(told.asset_id) or text(told.content_asset_id) or _first(told.content_asset_ids)
    if not video_id:
        return {}
    position = max(0.0, number(told.position) or 0.0)
    members: dict[str, Any] = {
        "videoId": video_id,
        "action": meaning.action,
        "viewingId": text(told.session_id),
        "durationSeconds": max(0.0, number(told.total_length) or 0.0),
        "contentType": text(told.genre),
    }
    if meaning.action == names.SEEK:
        destination = number(told.seek_position)
        members["seekFromSeconds"] = position
        position = position if destination is None else max(0.0, destination)
    members["positionSeconds"] = position
    exact = number(told.watched_seconds)
    before = viewings.get(viewing := (user_id, members["viewingId"], video_id))
    viewings[viewing] = beat = Beat(position, at)
    if meaning.action != names.SEEK:
        watched = _watched(meaning.action, beat, before) if exact is None else exact
        members["watchedSeconds"] = min(max(0.0, watched), position)
    return {name: value for name, value in members.items() if value}


def _watched(action: str, beat: Beat, before: Beat | None) -> float:
    if before is None:
        return _HEARTBEAT_SECONDS if action == names.HEARTBEAT else 0.0
    moved = beat.position - before.position
    is_played = 0 < moved <= _FASTEST * (beat.at - before.at) + _SLACK_SECONDS
    return moved if is_played else 0.0


def _first(values: object) -> str:
    return text(values[0]) if isinstance(values, list) and values else text(values)
