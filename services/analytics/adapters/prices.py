"""Prices from a file, in JSON."""

from pathlib import Path
from typing import Annotated, Final

import msgspec

from mesh.settings import SettingError
from services.analytics.domain.costs import LANGUAGE_MODELS, LEAST_USD, MOST_USD
from services.analytics.domain.question import Price, Prices

_VERSION: Final = 1
_Usd = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class _Part(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,49}$(?!\n)")]
    usd_per_million_events: _Usd = 0.0
    usd_per_million_decisions: _Usd = 0.0
    usd_per_day: _Usd = 0.0


_Budget = Annotated[float, msgspec.Meta(ge=LEAST_USD, le=MOST_USD)]


class _Prices(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    version: int
    parts: Annotated[list[_Part], msgspec.Meta(max_length=20)]
    models: list[msgspec.Raw] = []
    """Of language models: intervention reads them, and counts what each call cost."""
    daily_budget_usd: _Budget | None = None
    tenant_budgets_usd: Annotated[dict[str, _Budget], msgspec.Meta(max_length=1_000)] = {}


def read(path: str) -> Prices:
    """The prices in a file, in its order, and what a day may cost; none without a path.

    Raises:
        SettingError: it cannot be read, is of another version, or names a part twice.
    """
    if not path:
        return Prices()
    try:
        found = msgspec.json.decode(Path(path).read_bytes(), type=_Prices)
    except (OSError, msgspec.MsgspecError) as error:
        message = f"JOURNEYMESH_PRICES_FILE cannot be read: {error}"
        raise SettingError(message) from None
    if found.version != _VERSION:
        message = f"JOURNEYMESH_PRICES_FILE is of version {found.version}; this build reads {_VERSION}."
        raise SettingError(message)
    names = [part.name for part in found.parts]
    if len({*names, LANGUAGE_MODELS}) <= len(names):
        message = f"JOURNEYMESH_PRICES_FILE must name each part once, and none {LANGUAGE_MODELS}."
        raise SettingError(message)
    parts = tuple(Price(*msgspec.structs.astuple(part)) for part in found.parts)
    return Prices(parts, found.daily_budget_usd, tuple(sorted(found.tenant_budgets_usd.items())))
