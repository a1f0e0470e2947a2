"""Prices of language models from the price file, in JSON; analytics reads the rest of it."""

from pathlib import Path
from typing import Annotated, Final

import msgspec

from mesh.settings import SettingError
from services.intervention.language.domain.budget import PRICES, Price, Prices, plain_id

_VERSION: Final = 1
_NANO_A_USD_PER_MILLION: Final = 1_000
_Usd = Annotated[float, msgspec.Meta(ge=0, le=1e6)]


class _Model(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]+\.[A-Za-z0-9._:-]{1,120}$(?!\n)")]
    usd_per_million_input_tokens: _Usd | None = None
    usd_per_million_output_tokens: _Usd | None = None


class _Priced(msgspec.Struct):
    version: int
    models: Annotated[list[_Model], msgspec.Meta(max_length=20)] = []


def read(path: str) -> Prices:
    """The prices of the models that may be asked: those known here, and those in the file, which come before.

    Raises:
        SettingError: it cannot be read, is of another version, names a model twice or with a geography, or gives one of
            its two prices alone.
    """
    if not path:
        return PRICES
    try:
        found = msgspec.json.decode(Path(path).read_bytes(), type=_Priced)
    except (OSError, msgspec.MsgspecError) as error:
        message = f"JOURNEYMESH_PRICES_FILE cannot be read: {error}"
        raise SettingError(message) from None
    if found.version != _VERSION:
        message = f"JOURNEYMESH_PRICES_FILE is of version {found.version}; this build reads {_VERSION}."
        raise SettingError(message)
    if len({each.id for each in found.models}) < len(found.models) or any(
        plain_id(each.id) != each.id for each in found.models
    ):
        raise SettingError("JOURNEYMESH_PRICES_FILE must name each model once, by its id without a geography.")
    return {**PRICES, **{each.id: _price(each) for each in found.models}}


def _price(model: _Model) -> Price | None:
    asks, answers = model.usd_per_million_input_tokens, model.usd_per_million_output_tokens
    if asks is None and answers is None:
        return None
    if asks is None or answers is None:
        message = f"JOURNEYMESH_PRICES_FILE must give both prices of {model.id}, or none."
        raise SettingError(message)
    return Price(round(asks * _NANO_A_USD_PER_MILLION), round(answers * _NANO_A_USD_PER_MILLION))
