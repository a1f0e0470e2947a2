"""What may be asked for: names, rights, lifetimes and grace periods."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from services.access.keys.domain import origin, rate
from services.access.keys.domain.key import Rights
from services.access.keys.domain.refusal import Cause, Refusal

LONGEST_NAME: Final = 100
MOST_ORIGINS: Final = 50
SHORTEST_LIFETIME_SECONDS: Final = 60
LONGEST_LIFETIME_SECONDS: Final = 3653 * 86_400
"""Ten years, three leap days included."""
LONGEST_GRACE_SECONDS: Final = 30 * 86_400
_LONGEST_WORD: Final = 40
_PUBLIC: Final = "pk"


@dataclasses.dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words that rights are made of."""

    usual_scopes: Mapping[str, Collection[str]]
    """By kind: what a key may do unless its creator says otherwise."""
    largest_scopes: Mapping[str, Collection[str]]
    """By kind: what a key may do at most."""
    event_types: Collection[str]


def name(asked: str) -> str:
    """A key's name, without surrounding white space.

    Raises:
        Refusal: it is empty, too long, or has characters that cannot be printed.
    """
    tidy = asked.strip()
    if not tidy:
        raise Refusal(Cause.MISSING, "A key needs a name.")
    if len(tidy) > LONGEST_NAME or not tidy.isprintable():
        raise Refusal(Cause.OUT_OF_RANGE, f"A key's name has 1 to {LONGEST_NAME} printable characters.")
    return tidy


def rights(kind: str, asked: Rights, vocabulary: Vocabulary) -> Rights:
    """What a key of a kind may do: as asked for, or without scopes what is usual for the kind.

    Raises:
        Refusal: a word is unknown, a scope is not for this kind, an origin is none or not for this kind, or the rate is
            out of range.
    """
    scopes = asked.scopes or vocabulary.usual_scopes[kind]
    known = {scope for of_kind in vocabulary.largest_scopes.values() for scope in of_kind}
    _check_known("scope", scopes, known)
    beyond = sorted(set(scopes) - set(vocabulary.largest_scopes[kind]))
    if beyond:
        allowed = ", ".join(sorted(vocabulary.largest_scopes[kind]))
        detail = f"A key of this kind may have the scopes {allowed}, not {', '.join(beyond)}."
        raise Refusal(Cause.OUT_OF_RANGE, detail)
    _check_known("event type", asked.event_types, vocabulary.event_types)
    if asked.origins and kind != _PUBLIC:
        raise Refusal(Cause.OUT_OF_RANGE, "Only public keys have origins: servers send none.")
    if len(asked.origins) > MOST_ORIGINS:
        raise Refusal(Cause.OUT_OF_RANGE, f"A key has at most {MOST_ORIGINS} origins.")
    origins = _sorted(map(origin.normal, asked.origins))
    return Rights(_sorted(scopes), origins, _sorted(asked.event_types), rate.checked(asked.rate))


def check_lifetime(seconds: int) -> None:
    """Returns if a key may live so long.

    Raises:
        Refusal: it may not.
    """
    if seconds and not SHORTEST_LIFETIME_SECONDS <= seconds <= LONGEST_LIFETIME_SECONDS:
        raise Refusal(Cause.OUT_OF_RANGE, "A key is valid for 60 seconds to ten years, or without end.")


def check_grace(seconds: int) -> None:
    """Returns if a rotated key may stay valid so long.

    Raises:
        Refusal: it may not.
    """
    if not 0 <= seconds <= LONGEST_GRACE_SECONDS:
        raise Refusal(Cause.OUT_OF_RANGE, "A rotated key stays valid for 0 to 30 days.")


def _check_known(what: str, words: Iterable[str], known: Collection[str]) -> None:
    unknown = next((word for word in words if word not in known), None)
    if unknown is not None:
        detail = f"{unknown[:_LONGEST_WORD]!r} is no {what}; known are {', '.join(sorted(known))}."
        raise Refusal(Cause.OUT_OF_RANGE, detail)


def _sorted(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(words)))
