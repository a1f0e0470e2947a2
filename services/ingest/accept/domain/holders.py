"""Who had a device when, by the events' own times: what is kept with an anonymous id, and how it is read. Pure.

It is kept as text of lines. The first one is whose the device is now, the anonymous id itself where it is nobody's; the
second one is the form's version; then the spans follow, the newest first, each with its beginning in microseconds. An
id holds no line breaks. Before there were times, the first line stood alone, and behind it, if a link was refused, who
was (empty where several were). A version that knows only this reads of the new form whose the device is now, and nobody
as who may have what is done with it.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

SPANS_MOST: Final = 8
_VERSION: Final = "v1"


class How(StrEnum):
    """How a span began."""

    LINKED = "="
    """It is its user's."""
    LEFT = "-"
    """By a log-out: it is nobody's, until somebody logs in."""
    REFUSED = "?"
    """By a link that was refused: it is nobody's, but for its user if it has one and they are linked next."""


class Span(NamedTuple):
    """Since when a device was whose, until the next span begins."""

    from_us: int
    how: How
    user_id: str = ""


Spans = Sequence[Span]
"""What is known of a device, newest first; may be empty."""


def holder(link: str) -> str:
    """Whose a device is now, by what is kept of its anonymous id: the anonymous id itself where it is nobody's."""
    return link.partition("\n")[0]


def read(link: str, anonymous_id: str) -> Spans:
    """The spans by what is kept; what an older or a newer version kept is one span since ever."""
    now, *lines = link.split("\n")
    if len(lines) > 1 and lines[0] == _VERSION:
        spans = [_span(line) for line in lines[1:]]
        if spans[0].how == How.LINKED:
            spans[0] = spans[0]._replace(user_id=now)
        return spans
    if now != anonymous_id:
        return [Span(0, How.LINKED, now)]
    return [Span(0, How.REFUSED, lines[0])] if len(lines) == 1 else [Span(0, How.LEFT)]


def _span(line: str) -> Span:
    from_us, _, rest = line.partition(" ")
    return Span(int(from_us), How(rest[:1]), rest[1:])


def written(spans: Spans, anonymous_id: str) -> str:
    """What is kept of spans, of which there is one at least."""
    newest, *others = spans
    is_held = newest.how == How.LINKED
    first = newest._replace(user_id="") if is_held else newest
    lines = (f"{span.from_us} {span.how}{span.user_id}" for span in (first, *others))
    return "\n".join((newest.user_id if is_held else anonymous_id, _VERSION, *lines))


def at(spans: Spans, time_us: int) -> Span | None:
    """The span a time lies in; None where it lies before all."""
    return next((span for span in spans if span.from_us <= time_us), None)


def owner(spans: Spans, time_us: int) -> str:
    """Whose is what was done at a time; empty where it is nobody's.

    What was done while the device was nobody's is that of the first who logged in after it.
    """
    after = None
    for span in spans:
        if span.from_us > time_us:
            after = span
        elif span.how == How.LINKED:
            return span.user_id
        elif after is None or after.how != How.LINKED or (span.how == How.REFUSED and span.user_id != after.user_id):
            return ""
        else:
            return after.user_id
    return after.user_id if after is not None and after.how == How.LINKED else ""


def is_late(spans: Spans, time_us: int) -> bool:
    """Whether a time lies before the newest span, so that events of then do not change who has the device now."""
    return bool(spans) and time_us < spans[0].from_us


def inserted(spans: Spans, span: Span) -> Spans:
    """The spans with one more, wherever its beginning lies among them: of those that begin at once it is the newest.

    Beyond 8 spans the two oldest become one, which stays nobody's.
    """
    place = next((index for index, each in enumerate(spans) if each.from_us <= span.from_us), len(spans))
    made = [*spans[:place], span, *spans[place:]]
    for newer in (place, place - 1):
        # Two spans of one user that follow each other are one. A log-out ends what was done before, also twice.
        if 0 <= newer < len(made) - 1 and made[newer].how != How.LEFT and made[newer][1:] == made[newer + 1][1:]:
            del made[newer]
    if len(made) > SPANS_MOST:
        made[SPANS_MOST - 1 :] = [Span(made[-1].from_us, How.REFUSED)]
    return made
