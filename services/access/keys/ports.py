"""What the use cases need from the outside."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

from services.access.keys.domain.key import Key
from services.access.keys.domain.tenant import Tenant

NO_REVISION: Final = "0"
"""The revision of a store without any key, in which none was ever changed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """All keys and tenants at one revision."""

    revision: str
    keys: Mapping[str, Key]
    tenants: Mapping[str, Tenant] = dataclasses.field(default_factory=dict)


class KeyStore(Protocol):
    """Keeps keys and tenants with one revision for all of them, and when each key was last used."""

    async def revision(self) -> str:
        """The revision, in one cheap read; `NO_REVISION` at first.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def read(self) -> Snapshot:
        """All keys and tenants with their revision, as of one moment.

        A key whose bytes are damaged is left out, and logged. So is a tenant, and then its keys are left out, too.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
            VersionMismatch: only a newer build can read a key.
        """

    async def change(
        self, put: Sequence[Key], dropped: Collection[str], before: str, after: str, tenants: Sequence[Tenant] = ()
    ) -> bool:
        """Puts and drops keys, and puts tenants, if the revision is `before`, and makes it `after`, in one atomic step.

        `after` MUST never have been a revision. Uses of dropped keys are dropped too. Returns False, and changes
        nothing, where the revision is another; True where it is `after` already, so that the call may be repeated.

        Raises:
            Unavailable: the store cannot be reached; the change may or may not be made.
        """

    async def record_uses(self, uses: Mapping[str, int]) -> None:
        """Records when keys were used, by key id in Unix microseconds; of two times the later one stays.

        Uses of keys that are not in the store are ignored.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def last_used(self) -> Mapping[str, int]:
        """When each key was last used, by key id in Unix microseconds, without those that never were.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def ping(self) -> None:
        """Returns if the store answers.

        Raises:
            Unavailable: it does not.
        """


class ImportedKeys(Protocol):
    """Which keys were ever imported, also those that are forgotten since."""

    async def ids(self) -> Collection[str]:
        """Their ids.

        Raises:
            Unavailable: the store cannot be reached; the call may be repeated.
        """

    async def add(self, key_id: str) -> None:
        """Adds one, for good; adding it again changes nothing.

        Raises:
            Unavailable: the store cannot be reached; it may or may not be added.
        """
