"""The policies in force: the store keeps them by their start; they come from a document that may change any time."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from mesh.errors import Unavailable, VersionMismatch
from mesh.settings import SettingError
from services.intervention.policy.domain.interpretation import PolicyError, canonical, policy_of, stored_policy
from services.intervention.policy.domain.policy import SECOND_US, Policy
from services.intervention.policy.domain.timeline import DatedPolicy, Timeline
from services.intervention.policy.ports import PolicyStore

# Every replica must see a new policy before it starts.
_LEAD_US: Final = 5 * SECOND_US
_LOOK_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class Policies:
    """Knows which policy decides on an event, and puts a new one in force.

    Args:
        store: where policies are kept.
        parse: turns a document into lists, dictionaries and scalars. Raises `PolicyError`.
        clock: the time in Unix microseconds.
        timeline: what is known of the store; empty before `begin`.
    """

    def __init__(
        self, store: PolicyStore, parse: Callable[[str], object], clock: Callable[[], int], timeline: Timeline
    ) -> None:
        self._store = store
        self._parse = parse
        self._clock = clock
        self._timeline = timeline
        self._seen = ""
        self.trouble = ""
        """What is wrong with the document given last, in a sentence; empty where nothing is."""

    @property
    def timeline(self) -> Timeline:
        """All policies, as far as this process has seen them."""
        return self._timeline

    def at(self, received_us: int) -> Policy:
        """The policy that decides on an event received at a time: Unix microseconds.

        Raises:
            VersionMismatch: only a newer build can read it.
        """
        found = self._timeline.at(received_us)
        if found is None:
            raise VersionMismatch("The policy in force was given to a newer version of the service.")
        return found

    async def find(self, version: str) -> Policy:
        """The policy of a version that has decided.

        Raises:
            Unavailable: the store cannot be reached or does not know it, or only a newer build can read it.
        """
        found = self._timeline.find(version)
        if found is None:
            await self.refresh()
            found = self._timeline.find(version)
        if found is None:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "The policy of a decision cannot be read from the store.")
        return found

    async def refresh(self) -> None:
        """Sees what other processes have put in force.

        Raises:
            Unavailable: the store cannot be reached.
        """
        if await self._store.count() != len(self._timeline.dated):
            self._timeline = Timeline([(each, self._stored(each)) for each in await self._store.all()])

    def _stored(self, dated: DatedPolicy) -> Policy | None:
        """A policy as it was put in force; None where only a newer build can read it."""
        for text in filter(None, (dated.canonical, dated.document)):
            with contextlib.suppress(PolicyError):
                return stored_policy(self._parse(text), dated.version)
        _log.error("policy %s is of a newer version of the service: what it decides waits", dated.version)
        return None

    async def begin(self, document: str) -> None:
        """Reads the stored policies, and puts the document in force if it differs from the last one.

        Raises:
            SettingError: the document is invalid, and the store has no policy.
            Unavailable: the store cannot be reached.
        """
        await self.refresh()
        await self.take(document)
        if not self._timeline.dated:
            raise SettingError(self.trouble)

    async def take(self, document: str) -> None:
        """Puts a document in force some seconds from now; the first one at once, also for earlier events.

        An invalid document changes nothing, and `trouble` says why.

        Raises:
            Unavailable: the store cannot be reached.
        """
        try:
            policy = self._checked(document)
        except PolicyError as error:
            self.trouble = f"The policy is not taken: {error}"
            _log.error("%s", self.trouble)
            self._seen = document
            return
        self.trouble = ""
        while not self._timeline.dated or self._timeline.dated[-1].version != policy.version:
            count = len(self._timeline.dated)
            start_us = max(self._clock() + _LEAD_US, self._timeline.dated[-1].start_us + 1) if count else 0
            given = DatedPolicy(start_us, policy.version, document, canonical(self._parse(document)))
            if await self._store.append(given, count):
                _log.info("policy %s decides from now on", policy.version)
            await self.refresh()
        self._seen = document

    def _checked(self, document: str) -> Policy:
        """The policy of a document that may follow those there are."""
        policy = policy_of(self._parse(document))
        salts = {each.holdout.salt: each.holdout.share for each in self._timeline.policies}
        if salts.get(policy.holdout.salt, policy.holdout.share) != policy.holdout.share:
            # The results of an experiment whose shares changed could not be trusted.
            raise PolicyError("holdout.share has changed, and needs another holdout.salt with it.")
        return policy

    async def watch(self, read: Callable[[], Awaitable[str]]) -> None:
        """Follows, without end, what other processes put in force and whether the document has changed.

        Raises:
            CancelledError: it is to end.
        """
        looked_at = self._seen
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.refresh()
                before, looked_at = looked_at, await read()
                # Read twice with the same text: it is not being written now.
                if looked_at != self._seen and looked_at == before:
                    await self.take(looked_at)
            except Unavailable as error:
                _log.warning("the policy cannot be looked at: %s", error.detail)
