"""The access service over memory, with a clock and random bytes of its own."""

import dataclasses
import random
from typing import Any

from services.access.audit.adapters.memory import MemoryChain
from services.access.audit.ports import Chain
from services.access.audit.usecases import Audit
from services.access.keys.adapters.memory import MemoryKeys
from services.access.keys.domain.key import Credentials, Key, Rights
from services.access.keys.domain.lifecycle import Request
from services.access.keys.domain.rate import Rate
from services.access.keys.ports import KeyStore
from services.access.keys.translation import VOCABULARY
from services.access.keys.usecases import Access
from tests.builders import NOW_US

DAY_US = 86_400 * 1_000_000


@dataclasses.dataclass
class World:
    """A service whose time the test sets."""

    store: KeyStore = dataclasses.field(default_factory=MemoryKeys)
    chain: Chain = dataclasses.field(default_factory=MemoryChain)
    now_us: int = NOW_US
    seed: int = 1
    audit: Audit = dataclasses.field(init=False)
    access: Access = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        """Sets the service up."""
        chance = random.Random(self.seed)  # noqa: S311 - keys of tests
        self.audit = Audit(self.chain, lambda: self.now_us, random.Random(self.seed + 1).randbytes)  # noqa: S311
        self.access = Access(self.store, self.audit, VOCABULARY, lambda: self.now_us, chance.randbytes)


def asked(kind: str = "sk", name: str = "shop", lifetime_seconds: int = 0, **rights: Any) -> Request:
    """A request for a key."""
    return Request(kind, name, Rights(rights.pop("scopes", ()), **rights), lifetime_seconds)


def key(key_id: str = "k1", name: str = "shop", *, kind: str = "pk", ends_us: int = 0) -> Key:
    """A key with all members."""
    credentials = Credentials(key_id, key_id.encode().ljust(32, b"\xff"), f"secret of {key_id}" if kind == "pk" else "")
    rights = Rights(("events:write", "help"), ("https://shop.example",), ("click", "page_view"), Rate(500, 1_000))
    return Key(credentials, kind, name, rights, NOW_US, ends_us)
