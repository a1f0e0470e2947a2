"""Rates as operators write and read them: how much a key or a tenant may send and ask for."""

import argparse
from typing import Any, Final

from journeymesh.access.v1 import access_pb2 as wire

NO_RATE: Final = 0
"""What stands for no rate of its own."""

_MOST: Final = 4_294_967_295


def add_rate(parser: argparse.ArgumentParser, without: str, *, is_required: bool = False) -> None:
    """Adds `--rate` and `--burst`; `without` says what holds without them."""
    parser.add_argument(
        "--rate",
        type=_count,
        default=NO_RATE,
        required=is_required,
        metavar="PER_SECOND",
        help=f"how many events and other requests per second, 1 to 1000000; 0: {without}"
        f"{'' if is_required else ' (default: 0)'}",
    )
    parser.add_argument(
        "--burst",
        type=_count,
        default=0,
        metavar="COUNT",
        help="how many at once after a pause, of one second to one hour of the rate (default: of two seconds)",
    )


def rate_of(arguments: argparse.Namespace) -> wire.Rate | None:
    """The rate in a command's arguments; None if it has none."""
    return wire.Rate(per_second=arguments.rate, burst=arguments.burst) if arguments.rate != NO_RATE else None


def in_words(rate: wire.Rate) -> str:
    """A rate in a sentence."""
    return f"{rate.per_second:,} events and other requests per second, {rate.burst:,} at once"


def rate_json(of: wire.KeyRights | wire.Tenant) -> dict[str, Any] | None:
    """A rate for scripts; None if there is none."""
    return {"perSecond": of.rate.per_second, "burst": of.rate.burst} if of.HasField("rate") else None


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > _MOST:
        message = f"{text!r} is no number from 0 to {_MOST}"
        raise argparse.ArgumentTypeError(message)
    return int(text)
