"""Numbers with their nouns, and lengths of time, as people say them."""

from typing import Final

_UNITS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def counted(count: int, noun: str) -> str:
    """A number with its noun: `no signal`, `1 signal`, `3,000 signals`."""
    return f"{count:,} {noun}{'s' if count > 1 else ''}" if count else f"no {noun}"


def lasting(us: int) -> str:
    """A length of time in whole units, rounded down: of two and more of a unit, or of exactly one.

    So `90 minutes` are that and not `1 hour`, and what is below a second is `less than a second`.
    """
    seconds = us // 1_000_000
    if seconds < 1:
        return "less than a second"
    unit, size = next(each for each in _UNITS if seconds >= 2 * each[1] or seconds == each[1])
    return counted(seconds // size, unit)


def beside(value: float, bound: float) -> str:
    """A number with as many digits as show on which side of a bound it lies; one at least."""
    texts = (f"{value:.{digits}f}" for digits in (1, 2, 3, 6))
    return next((each for each in texts if (float(each) >= bound) == (value >= bound)), repr(value))
