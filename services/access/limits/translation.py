"""Translates between messages and the domain's values."""

from collections.abc import Sequence
from typing import Final

from journeymesh.access.v1 import limits_pb2 as wire

from mesh.errors import InvalidArgument
from services.access.limits.domain.spending import Spent
from services.access.limits.usecases import MOST_SPENT

_LONGEST_HOLDER: Final = 100
_HIGHEST_RATE: Final = 1_000_000
_MOST_UNITS: Final = 1_000_000_000


def spent_of(message: wire.SpendUnitsRequest) -> Sequence[Spent]:
    """What was spent.

    Raises:
        InvalidArgument: there is too much of it, or a member is out of range.
    """
    if len(message.spent) > MOST_SPENT:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"A report has at most {MOST_SPENT:,} limits.")
    for each in message.spent:
        if not (
            1 <= len(each.holder) <= _LONGEST_HOLDER
            and 1 <= each.per_second <= _HIGHEST_RATE
            and each.units <= _MOST_UNITS
        ):
            raise InvalidArgument(
                "VALUE_OUT_OF_RANGE",
                f"A limit has a holder of 1 to {_LONGEST_HOLDER} characters and a rate of 1 to {_HIGHEST_RATE:,} units "
                f"per second, and at most {_MOST_UNITS:,} units are spent of it at once.",
            )
    return [Spent(each.holder, each.per_second, each.units) for each in message.spent]
