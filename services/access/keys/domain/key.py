"""A key as it is kept: whose it is, what it may do, and when it ends. Times are Unix microseconds."""

import dataclasses
import enum
from typing import Final

from services.access.keys.domain.rate import Rate

SECOND_US: Final = 1_000_000
NEVER: Final = 0
"""The end of a key that does not end."""


class Ending(enum.StrEnum):
    """What ended a key, or will."""

    EXPIRED = "expired"
    ROTATED = "rotated"
    REVOKED = "revoked"
    TENANT_DELETED = "tenant_deleted"


_AT_ONCE: Final = frozenset({Ending.REVOKED, Ending.TENANT_DELETED})


@dataclasses.dataclass(frozen=True, slots=True)
class Rights:
    """What a key may do. Each list is sorted and without duplicates."""

    scopes: tuple[str, ...]
    origins: tuple[str, ...] = ()
    """Normal origins whose pages may use it; none: any."""
    event_types: tuple[str, ...] = ()
    """Event types it may send; none: all that its scopes allow."""
    rate: Rate | None = None
    """How much it may send and ask for; None: no limit of its own."""


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """A key that its holder made."""

    key_id: str
    text_hash: bytes = dataclasses.field(repr=False)
    """SHA-256 of the text."""


@dataclasses.dataclass(frozen=True, slots=True)
class Credentials:
    """What makes a key unlike any other. Its text is not here: only who asked for the key ever gets it."""

    key_id: str
    text_hash: bytes = dataclasses.field(repr=False)
    """SHA-256 of the text."""
    identity_secret: str = dataclasses.field(repr=False)
    """Signs who a page's user is; empty unless the key is public."""


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """A key without its text."""

    credentials: Credentials
    kind: str
    """Who holds it: `pk`, `sk` or `adm`."""
    name: str
    rights: Rights
    created_us: int
    ends_us: int = NEVER
    ended_as: Ending = Ending.EXPIRED
    """What it is once it has ended."""
    successor_id: str = ""
    """The key that replaces it; empty if none does."""
    tenant: str = ""
    """The tenant whose data it opens, for good; empty: the default one."""

    @property
    def key_id(self) -> str:
        """The part of its text that is no secret."""
        return self.credentials.key_id

    def has_ended(self, now_us: int) -> bool:
        """Whether it is no longer valid. What was ended by hand never is, whatever a clock says."""
        return self.ended_as in _AT_ONCE or (self.ends_us != NEVER and self.ends_us <= now_us)
