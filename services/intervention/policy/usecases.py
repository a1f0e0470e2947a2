"""The policies in force: stores keep them by their start; they come from documents that may change any time.

One policy is the mesh's. A tenant may have one of its own, which decides for its users instead.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from mesh.errors import InvalidArgument, Unavailable, VersionMismatch
from mesh.settings import SettingError
from records.tenants import DEFAULT, tenant_of
from services.intervention.policy.domain.interpretation import PolicyError, canonical, policy_of, stored_policy
from services.intervention.policy.domain.policy import SECOND_US, Policy
from services.intervention.policy.domain.timeline import DatedPolicy, Timeline
from services.intervention.policy.ports import Documents, PolicyStore

# Every replica must see a new policy before it starts.
_LEAD_US: Final = 5 * SECOND_US
_LOOK_SECONDS: Final = 1.0
_MOST_TRIED: Final = 16 * 1024

_log = logging.getLogger(__name__)


class Policies:
    """Knows which policy decides on an event, and puts a new one in force.

    Args:
        store: where the mesh's policies are kept.
        of_tenants: where those of tenants are kept.
        parse: turns a document into lists, dictionaries and scalars. Raises `PolicyError`.
        clock: the time in Unix microseconds.
        timeline: what is known of `store`; empty before `begin`.
    """

    def __init__(
        self,
        store: PolicyStore,
        of_tenants: PolicyStore,
        parse: Callable[[str], object],
        clock: Callable[[], int],
        timeline: Timeline,
    ) -> None:
        self._store = store
        self._store_of_tenants = of_tenants
        self._parse = parse
        self._clock = clock
        self._timeline = timeline
        self._of_tenants: dict[str, Timeline] = {}
        self._seen: Documents | None = None
        self._troubles: dict[str, str] = {}

    @property
    def timeline(self) -> Timeline:
        """All policies of the mesh, as far as this process has seen them."""
        return self._timeline

    @property
    def of_tenants(self) -> Mapping[str, Timeline]:
        """All policies of tenants that have or had their own, by tenant, as far as this process has seen them."""
        return self._of_tenants

    def trouble(self, tenant: str = DEFAULT) -> str:
        """What is wrong with the document given last, in a sentence; empty where nothing is."""
        return self._troubles.get(tenant, "")

    def at(self, received_us: int, tenant: str = DEFAULT) -> Policy:
        """The policy that decides on an event of a tenant, received at a time: Unix microseconds.

        Raises:
            VersionMismatch: only a newer build can read it.
        """
        own = self._of_tenants.get(tenant)
        found = (own if own is not None and own.is_in_force(received_us) else self._timeline).at(received_us)
        if found is None:
            raise VersionMismatch("The policy in force was given to a newer version of the service.")
        return found

    def of_record(self, received_us: int, user_ids: Sequence[str]) -> Policy:
        """The policy that decides on a record: that of its users' tenant, or the mesh's if they are of several.

        Raises:
            VersionMismatch: only a newer build can read it.
        """
        if not self._of_tenants:
            return self.at(received_us)
        tenants = {*map(tenant_of, user_ids)}
        return self.at(received_us, tenants.pop() if len(tenants) == 1 else DEFAULT)

    def holdout_share(self, salt: str, tenant: str) -> float:
        """The share of a tenant's users that an experiment held out, 0 to 1; 0 where no policy had this salt."""
        return next((each.holdout.share for each in reversed(self._deciding(tenant)) if each.holdout.salt == salt), 0.0)

    def read(self, document: str, tenant: str = DEFAULT) -> Policy:
        """The policy of a document that somebody tries out, for a tenant; nothing is put in force.

        Raises:
            InvalidArgument: `VALUE_OUT_OF_RANGE`, it is no policy, or larger than 16 KiB.
        """
        try:
            if len(document) > _MOST_TRIED:
                raise InvalidArgument("VALUE_OUT_OF_RANGE", "A policy to try out has 16 KiB at most.")
            return policy_of(self._parse(document), tenant)
        except PolicyError as error:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", f"The document is no policy: {error}") from error

    async def find(self, version: str) -> Policy:
        """The policy of a version that has decided.

        Raises:
            Unavailable: the store cannot be reached or does not know it, or only a newer build can read it.
        """
        found = self._find(version)
        if found is None:
            await self.refresh()
            found = self._find(version)
        if found is None:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "The policy of a decision cannot be read from the store.")
        return found

    async def refresh(self) -> None:
        """Sees what other processes have put in force.

        Raises:
            Unavailable: the store cannot be reached.
        """
        if await self._store.count() != len(self._timeline.dated):
            self._timeline = self._read(await self._store.all())
        if await self._store_of_tenants.count() != sum(len(each.dated) for each in self._of_tenants.values()):
            by_tenant: dict[str, list[DatedPolicy]] = {}
            for each in await self._store_of_tenants.all():
                by_tenant.setdefault(each.tenant, []).append(each)
            self._of_tenants = {tenant: self._read(dated) for tenant, dated in by_tenant.items()}

    async def begin(self, read: Callable[[], Awaitable[Documents]]) -> None:
        """Reads the stored policies, and puts documents in force that differ from the last ones.

        Raises:
            SettingError: the mesh's document is invalid, and the store has no policy.
            Unavailable: the store cannot be reached.
        """
        await self.refresh()
        await self.take(await read())
        if not self._timeline.dated:
            raise SettingError(self.trouble())

    async def take(self, documents: Documents) -> None:
        """Puts documents in force some seconds from now; the mesh's first one at once, also for earlier events.

        An invalid document changes nothing, and `trouble` says why. For tenants that have none any more, the mesh's
        policy decides again.

        Raises:
            Unavailable: the store cannot be reached.
        """
        await self._take(documents.of_mesh, DEFAULT)
        if documents.of_tenants is not None:
            for tenant in sorted({*self._of_tenants, *documents.of_tenants}):
                await self._take(documents.of_tenants.get(tenant), tenant)
        self._seen = documents

    async def _take(self, document: str | None, tenant: str) -> None:
        try:
            policy = self._checked(document, tenant)
        except PolicyError as error:
            self._troubles[tenant] = f"The policy is not taken: {error}"
            _log.error("%s%s", f"tenant {tenant}: " if tenant else "", self._troubles[tenant])
            return
        self._troubles.pop(tenant, None)
        version = policy.version if policy else ""
        while self._last_version(tenant) != version:
            given = DatedPolicy(
                self._next_start_us(tenant),
                version,
                document or "",
                canonical(self._parse(document)) if document is not None else "",
                tenant,
            )
            if tenant:
                count = sum(len(each.dated) for each in self._of_tenants.values())
                is_appended = await self._store_of_tenants.append(given, count)
            else:
                is_appended = await self._store.append(given, len(self._timeline.dated))
            if is_appended:
                _log.info("policy %s decides from now on", version or f"of the mesh, for {tenant},")
            await self.refresh()

    def _checked(self, document: str | None, tenant: str) -> Policy | None:
        """The policy of a document that may follow those there are; None without one."""
        if document is None:
            return None
        policy = policy_of(self._parse(document), tenant)
        salts = {each.holdout.salt: each.holdout.share for each in self._deciding(tenant)}
        if salts.get(policy.holdout.salt, policy.holdout.share) != policy.holdout.share:
            # The results of an experiment whose shares changed could not be trusted.
            raise PolicyError("holdout.share has changed, and needs another holdout.salt with it.")
        return policy

    def _deciding(self, tenant: str) -> Sequence[Policy]:
        """The policies that have decided for a tenant's users: the mesh's, and then its own, each in their order."""
        own = self._of_tenants.get(tenant)
        return (*self._timeline.policies, *(own.policies if own else ()))

    def _last_version(self, tenant: str) -> str | None:
        """The version that was put in force last for a tenant, empty where it was taken back; None before the first."""
        if tenant:
            own = self._of_tenants.get(tenant)
            return own.dated[-1].version if own else ""
        return self._timeline.dated[-1].version if self._timeline.dated else None

    def _next_start_us(self, tenant: str) -> int:
        """When a policy given now begins to decide: Unix microseconds; 0 for the first one of all."""
        if not tenant and not self._timeline.dated:
            return 0
        own = self._of_tenants.get(tenant) if tenant else self._timeline
        return max(self._clock() + _LEAD_US, own.dated[-1].start_us + 1 if own else 0)

    def _find(self, version: str) -> Policy | None:
        timelines = (self._timeline, *self._of_tenants.values())
        return next((found for each in timelines if (found := each.find(version))), None)

    def _read(self, entries: Sequence[DatedPolicy]) -> Timeline:
        return Timeline([(each, self._stored(each)) for each in entries])

    def _stored(self, dated: DatedPolicy) -> Policy | None:
        """A policy as it was put in force; None where only a newer build can read it, and where it was taken back."""
        if not dated.version:
            return None
        for text in filter(None, (dated.canonical, dated.document)):
            with contextlib.suppress(PolicyError):
                return stored_policy(self._parse(text), dated.version, dated.tenant)
        _log.error("policy %s is of a newer version of the service: what it decides waits", dated.version)
        return None

    async def watch(self, read: Callable[[], Awaitable[Documents]]) -> None:
        """Follows, without end, what other processes put in force and whether a document has changed.

        Raises:
            CancelledError: it is to end.
        """
        looked_at = self._seen
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.refresh()
                before, looked_at = looked_at, await read()
                # Read twice with the same texts: they are not being written now.
                if looked_at != self._seen and looked_at == before:
                    await self.take(looked_at)
            except Unavailable as error:
                _log.warning("the policy cannot be looked at: %s", error.detail)
