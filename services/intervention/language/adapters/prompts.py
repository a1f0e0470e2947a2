"""Prompts: documents in files, and those that were used, in memory and in Redis."""

import asyncio
from collections.abc import Sequence
from typing import Final, cast

import msgspec

from mesh.errors import VersionMismatch
from mesh.store import redis
from mesh.stored import readable, reading
from services.intervention.language.domain.prompt import Prompt, PromptError
from services.intervention.language.ports import KeptPrompt
from services.intervention.policy.adapters.yaml import NamedFiles, parse
from services.intervention.policy.domain.interpretation import PolicyError

_KEY: Final = "jm:intervention:prompts"
_VERSION: Final = 1


class PromptFiles:
    """Files of a folder, `<name>.yaml`."""

    def __init__(self, folder: str) -> None:
        self._files = NamedFiles(folder)

    async def names(self) -> Sequence[str]:
        """See `services.intervention.language.ports.PromptTexts`."""
        return await asyncio.to_thread(self._files.names)

    async def read(self, name: str) -> object:
        """See `services.intervention.language.ports.PromptTexts`."""
        try:
            return parse(await self._files.read(name))
        except PolicyError as error:
            raise PromptError(str(error)) from None


class NoPrompts:
    """No documents: only the built-in prompt."""

    async def names(self) -> Sequence[str]:
        """See `services.intervention.language.ports.PromptTexts`."""
        return ()

    async def read(self, name: str) -> object:
        """See `services.intervention.language.ports.PromptTexts`."""
        message = f"there is no folder of prompts to find {name[:64]!r} in."
        raise PromptError(message)


class MemoryPrompts:
    """Keeps prompts in memory: for replays and tests."""

    def __init__(self) -> None:
        self._kept: dict[str, KeptPrompt] = {}

    async def keep(self, used: KeptPrompt) -> Prompt:
        """See `services.intervention.language.ports.PromptStore`."""
        return self._kept.setdefault(used.prompt.version, used).prompt

    async def all(self) -> Sequence[KeptPrompt]:
        """See `services.intervention.language.ports.PromptStore`."""
        return sorted(self._kept.values())


class _Version(msgspec.Struct, array_like=True):
    version: int


class _Packed(msgspec.Struct, array_like=True):
    """What is stored of a prompt; it grows at its end."""

    version: int
    first_us: int
    prompt: Prompt


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(_Packed).decode
_DECODE_VERSION: Final = msgspec.msgpack.Decoder(_Version).decode


class RedisPrompts:
    """Keeps prompts in one hash of Redis: they are few."""

    def __init__(self, client: redis.Client) -> None:
        self._client = client

    async def keep(self, used: KeptPrompt) -> Prompt:
        """See `services.intervention.language.ports.PromptStore`."""
        blob = _ENCODE(_Packed(_VERSION, used.first_us, used.prompt))
        with redis.translating_errors():
            await self._client.hsetnx(_KEY, used.prompt.version, blob)
            kept = cast("bytes", await self._client.hget(_KEY, used.prompt.version))
        with reading("A prompt"):
            if _DECODE_VERSION(kept).version > _VERSION:
                raise VersionMismatch("A prompt was stored by a newer version of the service.")
            return _DECODE(kept).prompt

    async def all(self) -> Sequence[KeptPrompt]:
        """See `services.intervention.language.ports.PromptStore`."""
        with redis.translating_errors():
            blobs = cast("list[bytes]", await self._client.hvals(_KEY))
        versions = readable("A prompt", blobs, _DECODE_VERSION)
        known = [blob for blob, each in versions.items() if each.version <= _VERSION]
        packed = readable("A prompt", known, _DECODE).values()
        return sorted(KeptPrompt(each.first_us, each.prompt) for each in packed)
