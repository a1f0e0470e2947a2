"""Keys: the texts by which clients say who they are, such as `jm_sk_<key id>_<secret><checksum>`.

The key id is public and names the key. The checksum (as in GitHub's tokens) refuses a mistyped or cut key without a
look-up. A secret has 256 random bits, so its hash needs no salt and no slow function.
"""

import enum
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_BYTES: Final = 16
_SECRET_BYTES: Final = 32
# Base 62 digits that hold so many bytes.
_ID_LENGTH: Final = 22
_SECRET_LENGTH: Final = 43
_CHECKSUM_LENGTH: Final = 6
_TEXT: Final = re.compile(
    rf"jm_(pk|sk|adm)_([0-9A-Za-z]{{{_ID_LENGTH}}})_([0-9A-Za-z]{{{_SECRET_LENGTH}}})([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})"
)

_ID: Final = re.compile(rf"[0-9A-Za-z]{{{_ID_LENGTH}}}")

RandomBytes = Callable[[int], bytes]
"""Returns so many random bytes."""


class Kind(enum.StrEnum):
    """Who holds a key."""

    PUBLIC = "pk"
    SECRET = "sk"  # noqa: S105 - the name of a kind
    ADMIN = "adm"


class Scope(enum.StrEnum):
    """Something that a key may allow."""

    WRITE_EVENTS = "events:write"
    """Send events: what users did."""
    WRITE_FACTS = "facts:write"
    """Send purchases, outcomes and contacts: what help is judged by, and where it goes."""
    HELP = "help"
    """Read and answer help: with a public key only that of the user who is proven."""
    READ_FIGURES = "figures:read"
    """Read what is about nobody: lift, policies, videos, what models cost. Whoever may read people may read this."""
    READ_PEOPLE = "people:read"
    """Read what is known of users."""
    ANALYSE = "analysis"
    """Ask language models, which costs money; save, change and delete segments."""
    OPERATE = "operate"
    """Run the mesh: failed events, replays, the pipeline."""

    PRIVACY = "privacy"
    """Erase people."""


USUAL_SCOPES: Final = {
    Kind.PUBLIC: frozenset({Scope.WRITE_EVENTS, Scope.HELP}),
    Kind.SECRET: frozenset({Scope.WRITE_EVENTS, Scope.WRITE_FACTS, Scope.HELP, Scope.READ_FIGURES, Scope.READ_PEOPLE}),
    Kind.ADMIN: frozenset(Scope),
}
"""What a key of a kind may do unless its creator says otherwise."""

LARGEST_SCOPES: Final = {
    Kind.PUBLIC: USUAL_SCOPES[Kind.PUBLIC],
    Kind.SECRET: USUAL_SCOPES[Kind.SECRET] | {Scope.ANALYSE},
    Kind.ADMIN: frozenset(Scope),
}
"""What a key of a kind may do at most."""


def with_implied(scopes: Iterable[Scope]) -> frozenset[Scope]:
    """These scopes, and those that they include: whoever may read people may read figures."""
    found = frozenset(scopes)
    return found | {Scope.READ_FIGURES} if Scope.READ_PEOPLE in found else found


class PresentedKey(NamedTuple):
    """A well-formed key as a client sent it; whether it exists is not known yet."""

    kind: Kind
    key_id: str
    text_hash: bytes


def new_text(kind: Kind, random_bytes: RandomBytes) -> str:
    """The text of a new key."""
    key_id = _digits(int.from_bytes(random_bytes(_ID_BYTES)), _ID_LENGTH)
    body = f"jm_{kind}_{key_id}_{new_secret(random_bytes)}"
    return body + _checksum(body)


def new_secret(random_bytes: RandomBytes) -> str:
    """A secret of 256 random bits, as 43 letters and digits."""
    return _digits(int.from_bytes(random_bytes(_SECRET_BYTES)), _SECRET_LENGTH)


def is_id(text: str) -> bool:
    """Whether this may be the id of a key."""
    return _ID.fullmatch(text) is not None


def presented(text: str) -> PresentedKey | None:
    """The key in a text; None if the text is none or its checksum is wrong."""
    match = _TEXT.fullmatch(text)
    if match is None or _checksum(text[:-_CHECKSUM_LENGTH]) != match[4]:
        return None
    return PresentedKey(Kind(match[1]), match[2], hashlib.sha256(text.encode()).digest())


def _checksum(body: str) -> str:
    return _digits(zlib.crc32(body.encode()), _CHECKSUM_LENGTH)


def _digits(number: int, length: int) -> str:
    """A number in base 62, filled with zeros to a length."""
    digits: list[str] = []
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
