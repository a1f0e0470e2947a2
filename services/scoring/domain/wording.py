"""Counts and durations in words."""

from typing import Final

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_DAY: Final = 86400.0
# The features count up to this.
MOST: Final = 64


def counted(value: float, singular: str, plural: str, most: float = MOST) -> str:
    """A count with its noun, at the beginning of a sentence: `No error`, `1 error`, `3 errors`, `64 or more errors`."""
    count = round(value)
    if not count:
        return f"No {singular}"
    more = " or more" if count >= most else ""
    return f"{count}{more} {singular if count == 1 else plural}"


def duration(seconds: float) -> str:
    """A duration in a suitable unit: minutes from two minutes on, and so on."""
    if seconds < 1.0:
        return "less than a second"
    for size, unit in ((_DAY, "days"), (_HOUR, "hours"), (_MINUTE, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    count = round(seconds)
    return f"{count} {'second' if count == 1 else 'seconds'}"


def capital(text: str) -> str:
    """A text with its first letter large."""
    return text[0].upper() + text[1:]
