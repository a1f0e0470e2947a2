"""Labels: what is to be predicted, declared in a sentence, and when it is asked.

    no event for 14 days, at events
    session ends without purchase, at events
    task_success within 7 days, weekly
    never returns, at session end
    session is over, at events

X and Y are event types, or outcomes of the mapping. Several moments are joined by `and`.
"""

import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from offline.declared.mapping import KINDS
from offline.training.table import AT_EVENTS, AT_SESSION_END, DAILY, MOMENTS, WEEKLY

SILENT: Final = "no event"
WITHOUT: Final = "session ends without"
WITHIN: Final = "within"
NEVER: Final = "never returns"
OVER: Final = "session is over"

_FORMS: Final = (
    (SILENT, re.compile(r"no event (?:for|in the next) (?P<days>\d{1,3}) days?")),
    (WITHOUT, re.compile(r"session ends without (?P<of>\S+)")),
    (WITHIN, re.compile(r"(?P<of>\S+) within (?P<days>\d{1,3}) days?")),
    (NEVER, re.compile(r"never returns")),
    (OVER, re.compile(r"session is over")),
)
_DEFAULT_MOMENT: Final = {form: AT_SESSION_END if form == NEVER else AT_EVENTS for form, _ in _FORMS}


class LabelError(Exception):
    """The label cannot be understood; the message is one sentence."""


@dataclass(frozen=True)
class Label:
    """What is predicted.

    `days` is the horizon, 0 where the form has none. `of` is an event type or, if `is_outcome`, an outcome of the
    mapping.
    """

    form: str
    days: int
    of: str
    is_outcome: bool
    moments: tuple[str, ...]

    def __str__(self) -> str:
        texts = {
            SILENT: f"no event for {self.days} days",
            WITHOUT: f"session ends without {self.of}",
            WITHIN: f"{self.of} within {self.days} days",
            NEVER: NEVER,
            OVER: OVER,
        }
        return f"{texts[self.form]}, {' and '.join(self.moments)}"

    def is_of(self, other: "Label") -> bool:
        """Whether both predict the same, at whatever moments."""
        return replace(self, moments=other.moments) == other


def parse(text: str, outcomes: Collection[str]) -> Label:
    """The label that a sentence declares.

    Raises:
        LabelError: it has none of the forms, or names what is neither an event type nor an outcome.
    """
    said, _, when = " ".join(text.split()).partition(", ")
    moments = tuple(when.split(" and ")) if when else ()
    for form, pattern in _FORMS:
        if found := pattern.fullmatch(said):
            named = found.groupdict()
            of, asked = named.get("of") or "", moments or (_DEFAULT_MOMENT[form],)
            label = Label(form, int(named.get("days") or 0), of, of in outcomes, asked)
            _require_sense(label, outcomes)
            return label
    message = (
        f"The label {text!r} has none of the forms `no event for N days`, `session ends without X`, `Y within N days`, "
        f"`never returns`, `session is over`, each with `, {'`, `, '.join(MOMENTS)}`."
    )
    raise LabelError(message)


def main(given: Sequence[str]) -> str | None:
    """Why the label given makes no sense for an archive, which has no outcomes of a mapping; None if it makes sense."""
    try:
        parse(given[0], ())
    except LabelError as error:
        return str(error)
    return None


def _require_sense(label: Label, outcomes: Collection[str]) -> None:
    for moment in label.moments:
        if moment not in MOMENTS:
            message = f"The label asks {moment!r}; moments are {', '.join(MOMENTS)}."
            raise LabelError(message)
    if {DAILY, WEEKLY} <= set(label.moments):
        raise LabelError("The label asks daily and weekly; one of them is enough.")
    if label.of and not label.is_outcome and label.of not in KINDS:
        known = ", ".join([*KINDS, *outcomes])
        message = f"The label names {label.of!r}, which is no event type and no outcome of the mapping: {known}."
        raise LabelError(message)
    if label.form in {SILENT, WITHIN} and not label.days:
        raise LabelError("The label needs at least one day.")
    if label.form == OVER and label.moments != (AT_EVENTS,):
        raise LabelError("Whether a session is over is a question at events only.")
    if label.form == WITHOUT and (is_late := [each for each in label.moments if each in {DAILY, WEEKLY}]):
        message = f"A session has its end within the day; it cannot be asked {is_late[0]}."
        raise LabelError(message)
    if label.form == WITHOUT and AT_SESSION_END in label.moments and not label.is_outcome:
        message = f"At session end it is known whether there was a {label.of}; ask `at events`."
        raise LabelError(message)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
