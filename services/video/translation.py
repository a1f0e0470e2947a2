"""Translates between messages and the domain's values."""

import math
import operator
from collections.abc import Iterable
from typing import Final

from journeymesh.common.v1 import event_pb2
from journeymesh.video.v1 import video_pb2 as wire

from mesh.clock import LATEST_US
from mesh.errors import InvalidArgument, VersionMismatch
from mesh.rpc.timestamps import timestamp
from records.tenants import plain
from services.video.domain import coverage, playback, retention, taste, viewer
from services.video.domain.engagement import WEIGHTS, completion, parts, replayed, skipped
from services.video.domain.playback import Action, PlaybackEvent
from services.video.domain.retention import Curve
from services.video.domain.viewer import Card, Viewer

LONGEST_ID: Final = 128
MOST_POINTS: Final = 1_000
"""Points of a curve in a response; for a longer video only every second, third ... point."""

_ACTIONS: Final = {each.value: each for each in Action}
_LAST_ACTION: Final = max(Action)
_TOLD: Final = operator.attrgetter(
    "video_id",
    "viewing_id",
    "action",
    "position_seconds",
    "watched_seconds",
    "duration_seconds",
    "seek_from_seconds",
    "content_type",
    "topic",
)


def playback_events_of(request: wire.ApplyPlaybackRequest) -> list[PlaybackEvent]:
    """The events of a batch.

    Raises:
        InvalidArgument: an event is not a playback event, or an id, a time or a number is invalid.
        VersionMismatch: an action is a newer version's.
    """
    return [_playback_event(event) for event in request.events]


def viewer_message(user_id: str, of: Viewer) -> wire.GetViewerResponse:
    """A viewer as a message."""
    latest_first = sorted(of.cards.items(), key=lambda item: (-item[1].last_watched_us, item[0]))
    return wire.GetViewerResponse(
        user_id=user_id,
        engagement_score=viewer.overall(of),
        videos=[_video_engagement(video_id, card) for video_id, card in latest_first],
        preferred_content_type=taste.preferred_content_type(of),
        best_viewing_hours=taste.best_viewing_hours(of),
        recommended_content=taste.recommended_content(of),
    )


def video_message(video_id: str, of: Curve) -> wire.GetVideoResponse:
    """A video as a message."""
    return wire.GetVideoResponse(
        video_id=video_id,
        duration_seconds=of.duration_ms / 1000,
        viewer_count=of.viewer_count,
        retention=[
            wire.RetentionPoint(
                second=second,
                viewer_count=of.viewers[second],
                play_count=of.plays[second],
                retention_ratio=of.viewers[second] / of.viewer_count,
            )
            for second in range(0, len(of.viewers), -(-len(of.viewers) // MOST_POINTS) or 1)
        ],
        drop_offs=[wire.Segment(start_seconds=a, end_seconds=b) for a, b in retention.drop_offs(of)],
        replay_hot_spots=[wire.Segment(start_seconds=a, end_seconds=b) for a, b in retention.replay_hot_spots(of)],
    )


def _playback_event(event: event_pb2.Event) -> PlaybackEvent:
    # All at once: reading them one by one costs as much as all that follows.
    video_id, viewing_id, action, position, watched, duration, seek_from, content_type, topic = _TOLD(event.playback)
    if not video_id or not action:
        raise InvalidArgument("MISSING_FIELD", "A playback event names the video and what the player did.")
    user_id, session, at_us, zone = event.user_id, viewing_id or event.session_id, event.event_time_us, event.time_zone
    names = (user_id, video_id, session, content_type, topic, zone)
    if not user_id or (max(map(len, names)) > LONGEST_ID and max(map(len, map(plain, names))) > LONGEST_ID):
        raise InvalidArgument("INVALID_IDENTIFIER", f"An id or name has at most {LONGEST_ID} characters, a user's one.")
    if action not in _ACTIONS or not 0 <= at_us <= LATEST_US:
        if action > _LAST_ACTION:
            raise VersionMismatch("A player did what only a newer version knows.")
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "A playback event has an action, and a time from 1970 to 2255.")
    if not math.isfinite(position + watched + duration + seek_from):
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "The numbers a player reports must be finite.")
    end_ms = playback.position_ms(position)
    return PlaybackEvent(
        user_id,
        video_id,
        session,
        _ACTIONS[action],
        max(0, end_ms - min(playback.position_ms(watched), playback.LONGEST_MS)),
        end_ms,
        playback.length_ms(duration),
        playback.position_ms(seek_from),
        at_us,
        content_type,
        topic,
        zone,
        event.is_bot,
        event.received_time_us,
        event.playback.is_watched_guessed,
    )


def _video_engagement(video_id: str, card: Card) -> wire.VideoEngagement:
    watched = playback.decode(card.watched)
    made_of = parts(watched)
    once = coverage.clipped(watched.once, watched.duration_ms)
    return wire.VideoEngagement(
        video_id=video_id,
        engagement_score=card.engagement,
        parts=[
            wire.EngagementPart(name=name, value=value, weight=WEIGHTS[name])
            for name, value in made_of._asdict().items()
        ],
        completion_ratio=completion(watched),
        coverage=_segments(once),
        unique_seconds=coverage.length(once) / 1000,
        watched_seconds=watched.watched_ms / 1000,
        replayed_segments=_segments(replayed(watched)),
        viewing_count=watched.session_count,
        skipped_segments=_segments(skipped(watched)),
        pause_count=watched.pause_count,
        seek_count=watched.seek_count,
        stall_count=watched.stall_count,
        duration_seconds=watched.duration_ms / 1000,
        last_watched_time=timestamp(card.last_watched_us),
    )


def _segments(boundaries: Iterable[int]) -> list[wire.Segment]:
    stretches = coverage.stretches(list(boundaries))
    return [wire.Segment(start_seconds=start / 1000, end_seconds=end / 1000) for start, end in stretches]
