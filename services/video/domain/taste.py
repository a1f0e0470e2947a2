"""What a viewer likes, when they watch, and what to offer next; empty where too little is known."""

from collections.abc import Callable, Iterable
from typing import Final

from services.video.domain.viewer import Card, Viewer

_LEAST_SEEN_MS: Final = 120_000
_LEAST_PLAYED_MS: Final = 300_000
# Content of no declared kind counts as interactive from this much interaction on.
_INTERACTIVE: Final = 60.0
_KEEN: Final = 70.0
_NEARLY_COMPLETE: Final = 0.75
_HARDLY_BEGUN: Final = 0.40


def preferred_content_type(viewer: Viewer) -> str:
    """The kind of content with the highest engagement, among those seen for two minutes."""
    by_kind = _grouped(viewer, _kind)
    means = {kind: _mean(cards, lambda card: card.engagement) for kind, cards in sorted(by_kind.items()) if kind}
    return max(means, key=means.__getitem__, default="")


def best_viewing_hours(viewer: Viewer) -> str:
    """The two hours of the local day with the most playing, such as `19-21`; empty below five minutes.

    On a tie the stretch that begins at an odd hour wins, so that a single hour always lies in the same stretch.
    """
    hours = viewer.hours
    if sum(hours) < _LEAST_PLAYED_MS:
        return ""
    start = max(range(24), key=lambda hour: (hours[hour] + hours[(hour + 1) % 24], hour % 2))
    return f"{start}-{(start + 2) % 24}"


def recommended_content(viewer: Viewer) -> str:
    """What to offer next on the topic seen most: harder to the keen, shorter to those who stop early, else more."""
    by_topic = _grouped(viewer, lambda card: card.topic)
    if not by_topic:
        return ""
    topic = max(sorted(by_topic), key=lambda each: (bool(each), _seen(by_topic[each])))
    cards = by_topic[topic]
    seen_of_it = _mean(cards, lambda card: card.completion)
    if _mean(cards, lambda card: card.engagement) >= _KEEN and seen_of_it >= _NEARLY_COMPLETE:
        what = "advanced tutorials"
    else:
        what = "short introductions" if seen_of_it < _HARDLY_BEGUN else "further tutorials"
    return f"{what} on {topic}" if topic else what


def _kind(card: Card) -> str:
    return card.content_type or ("interactive" if card.interaction >= _INTERACTIVE else "")


def _grouped(viewer: Viewer, name: Callable[[Card], str]) -> dict[str, list[Card]]:
    groups: dict[str, list[Card]] = {}
    for card in viewer.cards.values():
        groups.setdefault(name(card), []).append(card)
    return {each: cards for each, cards in groups.items() if _seen(cards) >= _LEAST_SEEN_MS}


def _seen(cards: Iterable[Card]) -> int:
    return sum(card.unique_ms for card in cards)


def _mean(cards: list[Card], value: Callable[[Card], float]) -> float:
    return sum(value(card) * card.unique_ms for card in cards) / _seen(cards)
