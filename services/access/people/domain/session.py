"""A person's session, as it is kept. Times are Unix microseconds."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Final

SECOND_US: Final = 1_000_000
LONGEST_SECONDS: Final = 86_400
LONGEST_PERSON: Final = 64
MOST_ROLES: Final = 20
TOKEN_SECONDS: Final = 300
"""How long a token that signs somebody in may be used."""
# Clocks of gateways may be behind; a session that was ended must not count again there.
_REMEMBERED_US: Final = 3_600 * SECOND_US


@dataclasses.dataclass(frozen=True, slots=True)
class Session:
    """Somebody is signed in."""

    session_id: str
    person: str
    tenant: str
    """The tenant whose data it opens; empty: the default one."""
    roles: tuple[str, ...]
    began_us: int
    ends_us: int
    """When it ends by itself."""

    @property
    def remembered_until_us(self) -> int:
        """Until when it has to be known that the session was ended before its time."""
        return self.ends_us + _REMEMBERED_US


def of_person(sessions: Iterable[Session], person: str, tenant: str) -> Sequence[Session]:
    """The sessions of one person; the same id in another tenant is another person."""
    return [each for each in sessions if (each.person, each.tenant) == (person, tenant)]
