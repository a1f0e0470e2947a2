"""The way to Redis, to a cluster of it, and to the embedded server.

The client library loads whatever it finds of OpenTelemetry, to count into it if asked, and of `cryptography`, to ask
whether certificates were revoked. Nobody asks for either, and both take a sixth of a service's start. So the library is
loaded here, before anything else loads it, and finds neither.
"""

import importlib
import sys
from collections.abc import Mapping
from typing import Any, Final, cast

_UNWANTED: Final = ("opentelemetry", "cryptography")


def _load(library: str, *without: str) -> None:
    """Loads a library as if packages were not installed; other modules find them as before."""
    modules: dict[str, object] = cast("Any", sys.modules)
    found: Mapping[str, object] = {name: modules[name] for name in without if name in modules}
    modules.update(dict.fromkeys(without))  # None is the import system's mark of what must not be found
    try:
        importlib.import_module(library)
    finally:
        for name in without:
            del modules[name]
        modules.update(found)


_load("redis.asyncio", *_UNWANTED)
