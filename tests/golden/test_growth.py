"""Which stored values cannot grow: msgspec refuses a named tuple that is longer than it knows; a struct skips the rest.

Such a value may be stored if it never changes, or if every change of it gets a new version.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

import msgspec
import msgspec.inspect

import services

CANNOT_GROW: Final = {
    "services.analytics.adapters.jobs": {"Interval"},
    # A fit and its parts; whoever changes one raises the fit's version.
    "services.customers.adapters.fits": {
        "BackTest",
        "Consumption",
        "Cuts",
        "Fit",
        "Groups",
        "Market",
        "NextBasket",
        "Performance",
        "Product",
        "Repeats",
        "Spending",
        "Window",
    },
    "services.customers.states": {"Line"},
    "services.ingest.erasure.domain.erasure": {"Signature"},
    # An older form, read beside the one that grows.
    "services.ingest.events.adapters.redis_failed": {"_Stored"},
    "services.intervention.language.adapters.prompts": {"Prompt"},
}
MODULES: Final = [
    each.name
    for each in pkgutil.walk_packages(services.__path__, "services.")
    if not each.name.endswith(("__main__", ".worker"))
]


def decoded(module: ModuleType) -> Iterator[Any]:
    """What the decoders of a module read."""
    for value in vars(module).values():
        decoder = getattr(value, "__self__", value)
        if isinstance(decoder, msgspec.msgpack.Decoder):
            yield decoder.type


def named_tuples(of: Any, seen: set[Any]) -> Iterator[str]:
    """The named tuples anywhere in a type."""
    its = getattr(of, "cls", None)
    if its in seen:
        return
    if its is not None:
        seen.add(its)
    if isinstance(of, msgspec.inspect.NamedTupleType):
        yield of.cls.__name__
    parts = [getattr(of, name, None) for name in ("item_type", "key_type", "value_type")]
    parts += [field.type for field in getattr(of, "fields", ())]
    for part in (*parts, *getattr(of, "types", ()), *getattr(of, "item_types", ())):
        if isinstance(part, msgspec.inspect.Type):
            yield from named_tuples(part, seen)


def test_what_is_stored_can_grow() -> None:
    found: dict[str, set[str]] = {}
    for name in MODULES:
        for of in decoded(importlib.import_module(name)):
            found.setdefault(name, set()).update(named_tuples(msgspec.inspect.type_info(of), set()))
    assert {name: names for name, names in found.items() if names} == CANNOT_GROW
