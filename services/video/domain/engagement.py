"""How engaged a viewer is with a video: 0 to 100, the weighted sum of parts of 0 to 100."""

from typing import Final, NamedTuple

from services.video.domain import coverage
from services.video.domain.playback import Watched

# Shorter replays and skips are a player's rounding; those close together are one.
NOTABLE_MS: Final = 2_000
NOTABLE_GAP_MS: Final = 1_000

WEIGHTS: Final[dict[str, float]] = {
    "completion": 0.40,
    "replayed_segments": 0.15,
    "interaction": 0.20,
    "attention": 0.20,
    "multi_session": 0.05,
}
_WEIGHTS: Final = tuple(WEIGHTS.values())
# The share of the distance to 100 that each further one leaves.
_REPLAY_LEAVES: Final = 0.60
_INTERACTION_LEAVES: Final = 0.87
_SESSION_LEAVES: Final = 0.50
# The share of attention that each pause or stall leaves: a stall is the network's doing, but distracts as well.
_BREAK_KEEPS: Final = 0.97


class Parts(NamedTuple):
    """The parts of a score, each 0 to 100; named and ordered as `WEIGHTS`."""

    completion: float
    replayed_segments: float
    interaction: float
    attention: float
    multi_session: float


def unique_ms(watched: Watched) -> int:
    """Milliseconds of the video seen at least once."""
    return coverage.length(coverage.clipped(watched.once, watched.duration_ms))


def completion(watched: Watched) -> float:
    """Share of the video seen at least once, 0 to 1; 0 where its length is unknown."""
    return unique_ms(watched) / watched.duration_ms if watched.duration_ms else 0.0


def replayed(watched: Watched) -> list[int]:
    """The notable stretches that were played more than once."""
    if not watched.twice:
        return []
    return coverage.notable(coverage.clipped(watched.twice, watched.duration_ms), NOTABLE_GAP_MS, NOTABLE_MS)


def skipped(watched: Watched) -> list[int]:
    """The notable stretches that were jumped over and never seen."""
    if not watched.skipped:
        return []
    unseen = coverage.without(coverage.clipped(watched.skipped, watched.duration_ms), watched.once)
    return coverage.notable(unseen, 0, NOTABLE_MS)


def parts(watched: Watched) -> Parts:
    """What a viewer's engagement with a video is made of.

    completion: share seen. replayed_segments: each leaves 60% of the distance to 100. interaction: what the viewer did
    to the player (pauses, seeks, changes of rate, replays), each leaves 87%. attention: the share that was not skipped,
    less 3% per pause or stall. multi_session: each session after the first leaves 50%.
    """
    replays = len(replayed(watched)) // 2
    interactions = watched.pause_count + watched.seek_count + watched.rate_change_count + replays
    skipped_share = coverage.length(skipped(watched)) / watched.duration_ms if watched.duration_ms else 0.0
    return Parts(
        100 * completion(watched),
        100 * (1 - _REPLAY_LEAVES**replays),
        100 * (1 - _INTERACTION_LEAVES**interactions),
        100 * (1 - skipped_share) * _BREAK_KEEPS ** (watched.pause_count + watched.stall_count),
        100 * (1 - _SESSION_LEAVES ** max(0, watched.session_count - 1)),
    )


def score(of: Parts) -> float:
    """Engagement, 0 to 100: the parts by their weights."""
    return sum([part * weight for part, weight in zip(of, _WEIGHTS, strict=True)])
