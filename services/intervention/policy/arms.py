"""Writes an experiment into the documents of policies, so that a change of its ramp is a change of the policy."""

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from records.tenants import DEFAULT
from services.intervention.policy.domain.arms import Configured, composed, needed
from services.intervention.policy.domain.interpretation import PolicyError
from services.intervention.policy.ports import Configurations, Documents, Texts, refused

_KEPT: Final = 256
"""Documents that are remembered: they are read each second, and seldom change."""


class Arms:
    """Reads documents, with the experiment that compares them with others.

    Args:
        read: the documents as they are written.
        configurations: how the one experiment is configured for each tenant.
        texts: the policies of arms, by the arms' values.
        parse: turns a document into lists, dictionaries and scalars. Raises `PolicyError`.
        written: turns these into a document.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[Documents]],
        configurations: Configurations,
        texts: Texts,
        parse: Callable[[str], object],
        written: Callable[[object], str],
    ) -> None:
        self._read = read
        self._configurations = configurations
        self._texts = texts
        self._parse = parse
        self._written = written
        self._made = functools.lru_cache(_KEPT)(self._make)

    async def read(self) -> Documents:
        """The documents as they are now; for one that cannot be made, a text that says why and is no policy.

        A tenant without a policy of its own whose experiment decides now has the mesh's, with that experiment. Where
        tenants' policies are not looked at, such a tenant takes no part.

        Raises:
            Unavailable: documents or the store cannot be read.
        """
        documents, told = await self._read(), await self._configurations.read()
        configured = {tenant: one for tenant, (one, *_) in told.items()}
        of_tenants: Mapping[str, str] | None = None
        if documents.of_tenants is not None:
            of_mesh = {tenant: documents.of_mesh for tenant, each in configured.items() if tenant and needed(each)}
            of_tenants = {
                tenant: await self._document(text, configured.get(tenant))
                for tenant, text in {**of_mesh, **documents.of_tenants}.items()
            }
        return Documents(await self._document(documents.of_mesh, configured.get(DEFAULT)), of_tenants)

    async def _document(self, text: str, experiment: Configured | None) -> str:
        arms = needed(experiment)
        if not arms:
            return text
        return self._made(text, experiment, tuple([await self._texts.read(arm.value) for arm in arms]))

    def _make(self, text: str, experiment: Configured | None, texts: tuple[str, ...]) -> str:
        try:
            of_arms = zip(needed(experiment), texts, strict=True)
            policies = {arm.name: self._parse(its) for arm, its in of_arms}
            return self._written(composed(self._parse(text), experiment, policies))
        except PolicyError as error:
            return refused(str(error))
