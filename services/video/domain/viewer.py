"""What is kept of one viewer: a card for each of the videos watched last, and the hours of the day."""

import datetime as dt
import functools
import itertools
import zoneinfo
from typing import Final

import msgspec

from services.video.domain import playback
from services.video.domain.engagement import parts, score, unique_ms
from services.video.domain.playback import Beat, Effect, Watched

KEPT_VIDEOS: Final = 50
KEPT_NAME_BYTES: Final = 16 * 1024
"""Of all names together; beyond it fewer videos are kept."""
WHOLE_VIDEOS: Final = 2
"""Videos that beats came of last, which are kept whole; of the others less is, see `playback.shorten`."""
LATELY_US: Final = 28 * 24 * 3_600_000_000
_DAY_US: Final = 24 * 3_600_000_000
_QUARTER_US: Final = 900_000_000
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Card(msgspec.Struct, frozen=True, array_like=True):
    """A video as its viewer watched it, in short. `watched` is the whole of it, packed."""

    engagement: float = 0.0
    completion: float = 0.0
    interaction: float = 0.0
    unique_ms: int = 0
    last_watched_us: int = 0
    content_type: str = ""
    topic: str = ""
    watched: bytes = b""


class Viewer(msgspec.Struct, array_like=True):
    """A viewer: cards by video, and milliseconds played by hour of the local day, in the zone last told.

    The cards stand in the order in which beats came last. With `KEPT_VIDEOS` a viewer takes up to 64 KiB.
    """

    cards: dict[str, Card] = {}
    hours: list[int] = msgspec.field(default_factory=lambda: [0] * 24)
    time_zone: str = ""
    latest_us: int = 0
    """The latest beat."""


class OpenViewer(msgspec.Struct):
    """A viewer while a batch is applied: what is watched in it is unpacked once, not for every beat."""

    viewer: Viewer
    watched: dict[str, Watched] = {}


def opened(of: Viewer) -> OpenViewer:
    """The viewer, ready for beats."""
    viewer = OpenViewer(of)
    for video_id in list(of.cards)[:-WHOLE_VIDEOS]:
        # So it was left by a version that kept all of them whole.
        if len(of.cards[video_id].watched) > playback.SHORT_BYTES:
            _shorten(viewer, video_id)
    return viewer


def closed(open_viewer: OpenViewer) -> Viewer:
    """The viewer with all that was watched packed again."""
    cards = open_viewer.viewer.cards
    for video_id, watched in open_viewer.watched.items():
        cards[video_id] = msgspec.structs.replace(cards[video_id], watched=playback.encode(watched))
    return open_viewer.viewer


def watch(open_viewer: OpenViewer, beat: Beat) -> tuple[Effect, bool]:
    """Adds a beat; gives its effect, and whether the viewer is new to the video."""
    _note_time(open_viewer.viewer, beat)
    cards = open_viewer.viewer.cards
    card = cards.get(beat.video_id)
    before = card or Card()
    watched = open_viewer.watched.get(beat.video_id)
    if watched is None:
        watched = open_viewer.watched[beat.video_id] = playback.decode(before.watched)
    effect = playback.apply(watched, beat)
    scored = parts(watched)
    is_latest = beat.at_us >= before.last_watched_us
    is_next = next(reversed(cards), "") != beat.video_id
    if is_next:
        cards.pop(beat.video_id, None)
    cards[beat.video_id] = Card(
        engagement=score(scored),
        completion=scored.completion / 100,
        interaction=scored.interaction,
        unique_ms=unique_ms(watched),
        last_watched_us=max(beat.at_us, before.last_watched_us),
        content_type=beat.content_type if beat.content_type and is_latest else before.content_type or beat.content_type,
        topic=beat.topic if beat.topic and is_latest else before.topic or beat.topic,
    )
    # Zones differ from UTC by whole quarters of an hour, and so share the hour of a quarter.
    zone = beat.time_zone or open_viewer.viewer.time_zone
    open_viewer.viewer.hours[_local_hour(beat.at_us // _QUARTER_US, zone)] += effect.played_ms
    if is_next:
        _make_room(open_viewer)
    return effect, card is None


def _make_room(open_viewer: OpenViewer) -> None:
    """Keeps what is bounded so, after beats have come of another video than before."""
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
    """Engagement over the videos watched in the four weeks before the last beat, each weighing by the time seen of it.

    So a video that was only begun does not pull down who has watched others to their end. 0 where nothing was seen.
    """
    cards = viewer.cards.values()
    since_us = max([card.last_watched_us for card in cards], default=0) - LATELY_US
    lately = [card for card in cards if card.last_watched_us >= since_us]
    weight = sum([card.unique_ms for card in lately])
    return sum([card.engagement * card.unique_ms for card in lately]) / weight if weight else 0.0


def _note_time(viewer: Viewer, beat: Beat) -> None:
    """Notes when a beat was, and the zone it tells unless it is late.

    A time more than a day after the receipt of a later beat was told by a wrong clock. It is taken back, or nothing
    else would count as watched lately.
    """
    if viewer.latest_us - beat.received_us > _DAY_US >= beat.at_us - beat.received_us:
        viewer.latest_us = beat.at_us
        for video_id, card in viewer.cards.items():
            last_us = min(card.last_watched_us, beat.at_us)
            viewer.cards[video_id] = msgspec.structs.replace(card, last_watched_us=last_us)
    if beat.time_zone and (beat.at_us >= viewer.latest_us or not viewer.time_zone):
        viewer.time_zone = beat.time_zone
    viewer.latest_us = max(viewer.latest_us, beat.at_us)


@functools.lru_cache(maxsize=4096)
def _local_hour(quarter: int, zone_name: str) -> int:
    return (_EPOCH + dt.timedelta(microseconds=quarter * _QUARTER_US)).astimezone(_zone(zone_name)).hour


def _zone(name: str) -> dt.tzinfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        return dt.UTC
