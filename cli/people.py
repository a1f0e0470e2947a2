"""`journeymesh people`: lists who is signed in, and ends sessions."""

import argparse
import json
from typing import TYPE_CHECKING, Any, Final

import grpc
from journeymesh.access.v1 import people_pb2 as wire
from journeymesh.access.v1.people_pb2_grpc import PeopleServiceStub
from rich.console import Console
from rich.table import Table

from cli.access import asking
from cli.terminal import minute, plain

if TYPE_CHECKING:
    from journeymesh.access.v1.people_pb2_grpc import PeopleServiceAsyncStub


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands and their options."""
    doing = parser.add_subparsers(dest="doing", required=True)
    listed = doing.add_parser("sessions", help="list who is signed in, the newest first")
    end = doing.add_parser("end", help="end all sessions of a person, on every gateway, within five seconds")
    end.add_argument("person", metavar="PERSON", help="as `people sessions` names them, such as person:ada")
    end.add_argument("--tenant", default="", help="the tenant they work in (default: the default one)")
    for each in (listed, end):
        each.add_argument("--json", dest="is_json", action="store_true", help="print one JSON object, for scripts")


async def main(arguments: argparse.Namespace) -> int:
    """Runs the subcommand; returns the exit code."""

    async def ask(dialled: grpc.aio.Channel, console: Console, _: Console) -> int:
        await run(PeopleServiceStub(dialled), arguments, console)
        return 0

    return await asking(ask)


async def run(stub: "PeopleServiceAsyncStub", arguments: argparse.Namespace, console: Console) -> None:
    """Runs the subcommand against a service.

    Raises:
        MeshError: the service refuses it or cannot be reached.
    """
    await _COMMANDS[arguments.doing](stub, arguments, console)


async def _sessions(stub: "PeopleServiceAsyncStub", arguments: argparse.Namespace, console: Console) -> None:
    sessions = (await stub.ListSessions(wire.ListSessionsRequest())).sessions
    if arguments.is_json:
        console.print(json.dumps({"sessions": [_session_json(each) for each in sessions]}), soft_wrap=True)
        return
    if not sessions:
        console.print("Nobody is signed in.")
        return
    columns = ("person", "tenant", "roles", "since", "until")
    table = Table(*columns, box=None, padding=(0, 2, 0, 0), caption="Times are in UTC.")
    for each in sessions:
        roles = ", ".join(each.roles)
        table.add_row(plain(each.person), each.tenant, roles, minute(each.began_at), minute(each.ends_at))
    console.print(table)


async def _end(stub: "PeopleServiceAsyncStub", arguments: argparse.Namespace, console: Console) -> None:
    request = wire.EndSessionsRequest(person=arguments.person, tenant=arguments.tenant)
    ended = (await stub.EndSessions(request)).ended_count
    if arguments.is_json:
        console.print(json.dumps({"person": arguments.person, "endedCount": ended}), soft_wrap=True)
        return
    sessions = "1 session has" if ended == 1 else f"{ended} sessions have"
    console.print(f"{sessions} ended; gateways refuse what is left of them within five seconds.", soft_wrap=True)


_COMMANDS: Final = {"sessions": _sessions, "end": _end}


def _session_json(session: wire.PersonSession) -> dict[str, Any]:
    return {
        "sessionId": session.session_id,
        "person": session.person,
        "tenant": session.tenant,
        "roles": [*session.roles],
        "beganAt": session.began_at.ToJsonString(),
        "endsAt": session.ends_at.ToJsonString(),
    }
