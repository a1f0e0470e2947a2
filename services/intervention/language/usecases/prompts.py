"""The prompts that word help: the one in force, those of arms, and every one that was ever used."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from mesh.settings import SettingError
from services.intervention.language.domain.prompt import COPYWRITING, Prompt, PromptError, prompt_of
from services.intervention.language.ports import KeptPrompt, PromptStore, PromptTexts

_log = logging.getLogger(__name__)


class ListedPrompt(NamedTuple):
    """A prompt, the documents that say it now, whether it words help now, and when it first did; 0: not yet."""

    prompt: Prompt
    names: Sequence[str]
    is_in_force: bool
    first_us: int


class ListedPrompts(NamedTuple):
    """All prompts, the first used first, and what is wrong with documents, by name."""

    prompts: Sequence[ListedPrompt]
    troubles: Mapping[str, str]
    experiment_id: str
    """The experiment that compares them; empty for none."""


class Prompts:
    """Reads documents of prompts whenever one is needed, so that a new one words help at once.

    A version has one text for good: a document that gives it another is refused, whoever used the version before.

    Args:
        texts: the documents.
        store: keeps what is used.
        clock: Unix microseconds.
        in_force: the name of the one that words help; empty: the built-in one.
        experiment_id: the experiment that compares them.
    """

    def __init__(
        self, texts: PromptTexts, store: PromptStore, clock: Callable[[], int], in_force: str, experiment_id: str
    ) -> None:
        self._texts = texts
        self._store = store
        self._clock = clock
        self._in_force = in_force
        self._experiment_id = experiment_id
        self._kept: dict[str, Prompt] = {}
        self._last = COPYWRITING
        self._trouble = ""

    async def begin(self) -> None:
        """Reads the one in force.

        Raises:
            SettingError: it cannot be used.
            Unavailable: the store cannot be reached.
        """
        try:
            self._last = await self._used(self._in_force) if self._in_force else COPYWRITING
        except PromptError as error:
            message = f"JOURNEYMESH_PROMPT={self._in_force} cannot be used: {error}"
            raise SettingError(message) from None

    async def current(self) -> Prompt:
        """The prompt in force; while its document cannot be used, the one that was in force before.

        Raises:
            Unavailable: the store cannot be reached.
        """
        try:
            self._last = await self._used(self._in_force)
        except PromptError as error:
            self._warn(self._in_force, error)
        return self._last

    async def of_arm(self, value: str) -> Prompt | None:
        """The prompt that an arm's value names, the one in force for an empty value; None if it cannot be used.

        Raises:
            Unavailable: the store cannot be reached.
        """
        if not value:
            return await self.current()
        try:
            return await self._used(value)
        except PromptError as error:
            self._warn(value, error)
            return None

    async def listed(self) -> ListedPrompts:
        """Those that documents say now, and those that were used before.

        Raises:
            Unavailable: the store cannot be reached.
        """
        kept = await self._store.all()
        versions = {each.prompt.version: each.prompt for each in kept}
        first = {each.prompt: each.first_us for each in kept}
        names, troubles, current = dict[Prompt, list[str]](), dict[str, str](), self._last
        for name in await self._texts.names():
            try:
                prompt = await self._said(name)
                _require_one_text(prompt, versions.setdefault(prompt.version, prompt))
            except PromptError as error:
                troubles[name] = str(error)
                continue
            names.setdefault(prompt, []).append(name)
            current = prompt if name == self._in_force else current
        listed = [
            ListedPrompt(each, tuple(names.get(each, ())), each == current, first.get(each, 0))
            for each in dict.fromkeys((*first, current, *names))
        ]
        return ListedPrompts(listed, troubles, self._experiment_id)

    async def _said(self, name: str) -> Prompt:
        return prompt_of(await self._texts.read(name)) if name else COPYWRITING

    async def _used(self, name: str) -> Prompt:
        prompt = await self._said(name)
        if prompt.version not in self._kept:
            self._kept[prompt.version] = await self._store.keep(KeptPrompt(self._clock(), prompt))
        _require_one_text(prompt, self._kept[prompt.version])
        return prompt

    def _warn(self, name: str, error: PromptError) -> None:
        trouble = f"The prompt {name} is not used: {error}"
        if trouble != self._trouble:
            _log.warning("%s", trouble)
        self._trouble = trouble


def _require_one_text(prompt: Prompt, known: Prompt) -> None:
    if prompt != known:
        message = f"version {prompt.version} has another text already: a new text needs a new version."
        raise PromptError(message)
