"""What is kept per viewer: a card for each of the videos watched last, and the hours of the day."""

import datetime as dt
import functools
import itertools
import zoneinfo
from typing import Final

import msgspec

from services.video.domain import playback
from services.video.domain.engagement import parts, score, unique_ms
from services.video.domain.playback import Effect, PlaybackEvent, Watched

KEPT_VIDEOS: Final = 50
KEPT_NAME_BYTES: Final = 16 * 1024
"""Bytes of all names together; beyond it fewer videos are kept."""
WHOLE_VIDEOS: Final = 2
"""How many of the latest videos are kept whole; the others are shortened by `playback.shorten`."""
LATELY_US: Final = 28 * 24 * 3_600_000_000
_DAY_US: Final = 24 * 3_600_000_000
_QUARTER_US: Final = 900_000_000
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Card(msgspec.Struct, frozen=True, array_like=True):
    """A summary of what a viewer watched of a video; `watched` holds all of it, packed."""

    engagement: float = 0.0
    completion: float = 0.0
    interaction: float = 0.0
    unique_ms: int = 0
    last_watched_us: int = 0
    content_type: str = ""
    topic: str = ""
    watched: bytes = b""


class Viewer(msgspec.Struct, array_like=True):
    """Cards by video, and milliseconds played by hour of the local day, in the latest time zone.

    Cards are ordered by their last event. With `KEPT_VIDEOS` of them a viewer takes up to 64 KiB.
    """

    cards: dict[str, Card] = {}
    hours: list[int] = msgspec.field(default_factory=lambda: [0] * 24)
    time_zone: str = ""
    latest_us: int = 0
    """When the latest event happened."""


class OpenViewer(msgspec.Struct):
    """A viewer while a batch is applied: what was watched is unpacked once per batch, not per event."""

    viewer: Viewer
    watched: dict[str, Watched] = {}


def opened(of: Viewer) -> OpenViewer:
    """Opens a viewer for a batch."""
    viewer = OpenViewer(of)
    for video_id in list(of.cards)[:-WHOLE_VIDEOS]:
        # Written by a version that kept all videos whole.
        if len(of.cards[video_id].watched) > playback.SHORT_BYTES:
            _shorten(viewer, video_id)
    return viewer


def closed(open_viewer: OpenViewer) -> Viewer:
    """Packs what was watched again."""
    cards = open_viewer.viewer.cards
    for video_id, watched in open_viewer.watched.items():
        cards[video_id] = msgspec.structs.replace(cards[video_id], watched=playback.encode(watched))
    return open_viewer.viewer


def watch(open_viewer: OpenViewer, event: PlaybackEvent) -> tuple[Effect, bool]:
    """Adds an event; returns its effect, and whether the viewer is new to the video."""
    _note_time(open_viewer.viewer, event)
    cards = open_viewer.viewer.cards
    card = cards.get(event.video_id)
    before = card or Card()
    watched = open_viewer.watched.get(event.video_id)
    if watched is None:
        watched = open_viewer.watched[event.video_id] = playback.decode(before.watched)
    effect = playback.apply(watched, event)
    scored = parts(watched)
    is_latest = event.at_us >= before.last_watched_us
    is_next = next(reversed(cards), "") != event.video_id
    if is_next:
        cards.pop(event.video_id, None)
    cards[event.video_id] = Card(
        engagement=score(scored),
        completion=scored.completion / 100,
        interaction=scored.interaction,
        unique_ms=unique_ms(watched),
        last_watched_us=max(event.at_us, before.last_watched_us),
        content_type=(event.content_type if is_latest else "") or before.content_type or event.content_type,
        topic=(event.topic if is_latest else "") or before.topic or event.topic,
    )
    # Offsets from UTC are multiples of a quarter of an hour, so the local hour is the same within each quarter.
    zone = event.time_zone or open_viewer.viewer.time_zone
    open_viewer.viewer.hours[_local_hour(event.at_us // _QUARTER_US, zone)] += effect.played_ms
    if is_next:
        _make_room(open_viewer)
    return effect, card is None


def _make_room(open_viewer: OpenViewer) -> None:
    """Restores the bounds after an event of another video than before."""
    cards = open_viewer.viewer.cards
    while len(cards) > KEPT_VIDEOS or (len(cards) > 1 and _name_bytes(cards) > KEPT_NAME_BYTES):
        oldest = min(cards, key=lambda video_id: (cards[video_id].last_watched_us, video_id))
        del cards[oldest]
        open_viewer.watched.pop(oldest, None)
    for video_id in itertools.islice(reversed(list(cards)), WHOLE_VIDEOS, WHOLE_VIDEOS + 1):
        _shorten(open_viewer, video_id)


def _shorten(open_viewer: OpenViewer, video_id: str) -> None:
    card = open_viewer.viewer.cards[video_id]
    watched = open_viewer.watched.pop(video_id, None) or playback.decode(card.watched)
    playback.shorten(watched)
    open_viewer.viewer.cards[video_id] = msgspec.structs.replace(card, watched=playback.encode(watched))


def _name_bytes(cards: dict[str, Card]) -> int:
    return sum([len((video_id + card.content_type + card.topic).encode()) for video_id, card in cards.items()])


def overall(viewer: Viewer) -> float:
    """Engagement with the videos watched in the four weeks before the last event, weighted by the time seen of each.

    So a video that was only begun hardly matters beside one that was watched to its end. 0 where nothing was seen.
    """
    cards = viewer.cards.values()
    since_us = max([card.last_watched_us for card in cards], default=0) - LATELY_US
    lately = [card for card in cards if card.last_watched_us >= since_us]
    weight = sum([card.unique_ms for card in lately])
    return sum([card.engagement * card.unique_ms for card in lately]) / weight if weight else 0.0


def _note_time(viewer: Viewer, event: PlaybackEvent) -> None:
    """Notes the time of an event, and its time zone unless the event is late.

    A latest time more than a day after the receipt of this event came from a wrong clock. It is corrected, or nothing
    else would ever count as watched lately.
    """
    if viewer.latest_us - event.received_us > _DAY_US >= event.at_us - event.received_us:
        viewer.latest_us = event.at_us
        for video_id, card in viewer.cards.items():
            last_us = min(card.last_watched_us, event.at_us)
            viewer.cards[video_id] = msgspec.structs.replace(card, last_watched_us=last_us)
    if event.time_zone and (event.at_us >= viewer.latest_us or not viewer.time_zone):
        viewer.time_zone = event.time_zone
    viewer.latest_us = max(viewer.latest_us, event.at_us)


@functools.lru_cache(maxsize=4096)
def _local_hour(quarter: int, zone_name: str) -> int:
    return (_EPOCH + dt.timedelta(microseconds=quarter * _QUARTER_US)).astimezone(_zone(zone_name)).hour


def _zone(name: str) -> dt.tzinfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        return dt.UTC
