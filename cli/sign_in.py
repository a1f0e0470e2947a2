"""`journeymesh sign-in`: prints a link that signs the operator of this machine in, once."""

import argparse
import dataclasses
from typing import TYPE_CHECKING

import grpc
from journeymesh.access.v1 import people_pb2 as wire
from journeymesh.access.v1.people_pb2_grpc import PeopleServiceStub
from rich.console import Console

from cli.access import asking
from cli.local.programs import RunSettings
from mesh.settings import read_or_exit, setting

if TYPE_CHECKING:
    from journeymesh.access.v1.people_pb2_grpc import PeopleServiceAsyncStub


@dataclasses.dataclass(frozen=True)
class LinkSettings:
    """Where browsers reach the gateway."""

    public_url: str = setting(
        "JOURNEYMESH_PUBLIC_URL", "", "Where browsers reach the gateway; empty: where it listens."
    )


def add_arguments(_: argparse.ArgumentParser) -> None:
    """Adds nothing: this command has settings only."""


async def main(_: argparse.Namespace) -> int:
    """Prints a link; returns the exit code."""
    url = read_or_exit(LinkSettings).public_url or read_or_exit(RunSettings).gateway_url

    async def ask(dialled: grpc.aio.Channel, console: Console, errors: Console) -> int:
        await run(PeopleServiceStub(dialled), url, console, errors)
        return 0

    return await asking(ask)


async def run(stub: "PeopleServiceAsyncStub", url: str, console: Console, errors: Console) -> None:
    """Prints a link to the gateway at this URL, and beside it what it is.

    Raises:
        MeshError: the service cannot be reached.
    """
    token = (await stub.CreateSignInToken(wire.CreateSignInTokenRequest())).token
    console.print(f"{url.rstrip('/')}/auth/local?token={token}", soft_wrap=True)
    errors.print(
        "Open it in a browser on this machine. It signs you in as admin, once, within five minutes.", soft_wrap=True
    )
