"""`journeymesh audit`: lists who did what, and verifies that nobody changed it since."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc
from journeymesh.access.v1 import audit_pb2 as wire
from journeymesh.access.v1.audit_pb2_grpc import AuditServiceStub
from rich.console import Console
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from cli.access import asking
from cli.terminal import plain
from records.tenants import plain as plain_id
from records.tenants import qualified, tenant_of
from services.access.audit import translation
from services.access.audit.adapters import heads
from services.access.audit.domain.verification import Fault, Page, Progress
from services.access.audit.usecases import COMMAND, verify

if TYPE_CHECKING:
    from journeymesh.access.v1.audit_pb2_grpc import AuditServiceAsyncStub

_MOST_LISTED: Final = 100
"""Entries in one answer of the service."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands and their options."""
    doing = parser.add_subparsers(dest="doing", required=True)
    listed = doing.add_parser("list", help="list what was done, the newest first")
    listed.add_argument("--actor", default="", metavar="KEY_ID", help="only by this key, or by `command`")
    listed.add_argument("--user", default="", metavar="USER_ID", help="only about this user")
    listed.add_argument(
        "--tenant",
        default="",
        metavar="NAME",
        help="whose --actor and --user are meant (default: the default tenant's)",
    )
    listed.add_argument("--limit", type=_count, default=20, metavar="N", help="at most this many (default: 20)")
    listed.add_argument("--json", dest="is_json", action="store_true", help="print one JSON object, for scripts")
    checked = doing.add_parser("verify", help="check that no entry was changed, removed or inserted")
    checked.add_argument(
        "--heads", type=Path, metavar="FILE", help="also against the signed heads in this file (default: without)"
    )


async def main(arguments: argparse.Namespace) -> int:
    """Runs the subcommand; returns the exit code: 0 intact, 1 a fault or no answer."""

    async def ask(dialled: grpc.aio.Channel, console: Console, errors: Console) -> int:
        return await run(AuditServiceStub(dialled), arguments, console, errors)

    return await asking(ask)


async def run(stub: "AuditServiceAsyncStub", arguments: argparse.Namespace, console: Console, errors: Console) -> int:
    """Runs the subcommand against a service; returns the exit code.

    Raises:
        MeshError: the service refuses it or cannot be reached.
    """
    return await _COMMANDS[arguments.doing](stub, arguments, console, errors)


async def _list(stub: "AuditServiceAsyncStub", arguments: argparse.Namespace, console: Console, _: Console) -> int:
    entries = await _entries(stub, arguments)
    if arguments.is_json:
        console.print(json.dumps({"entries": [_entry_json(each) for each in entries]}), soft_wrap=True)
    elif entries:
        console.print(_table(entries))
    else:
        console.print("The audit log has no such entries.", soft_wrap=True)
    return 0


async def _entries(stub: "AuditServiceAsyncStub", arguments: argparse.Namespace) -> Sequence[wire.AuditEntry]:
    """The newest entries, page by page up to the limit."""
    tenant, actor = arguments.tenant, arguments.actor
    actor = actor and (actor if actor == COMMAND else qualified(tenant, actor))
    user_id = arguments.user and qualified(tenant, arguments.user)
    found: list[wire.AuditEntry] = []
    token = ""
    while len(found) < arguments.limit:
        size = min(arguments.limit - len(found), _MOST_LISTED)
        page = await stub.ListEntries(
            wire.ListEntriesRequest(page_size=size, page_token=token, actor=actor, user_id=user_id)
        )
        found += page.entries
        token = page.next_page_token
        if not token:
            break
    return found


async def _verify(
    stub: "AuditServiceAsyncStub", arguments: argparse.Namespace, console: Console, errors: Console
) -> int:
    signed: Mapping[int, bytes] = {}
    try:
        if arguments.heads is not None:
            kept = heads.read(arguments.heads)
            signed = kept.hashes
            console.print(f"{len(signed)} signed heads, by the key {kept.public_key}", soft_wrap=True)
        progress = await _verified(stub, signed, errors)
    except (Fault, heads.HeadsError) as fault:
        errors.print(f"journeymesh: {plain(fault)}", soft_wrap=True)
        return 1
    console.print(_verdict(progress), soft_wrap=True)
    return 0


async def _verified(stub: "AuditServiceAsyncStub", signed: Mapping[int, bytes], errors: Console) -> Progress:
    with Bar(console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task("reading the audit log", total=None)

        def report(progress: Progress, page: Page) -> None:
            total = page.last.sequence - progress.first + 1
            bar.update(task, total=total, completed=progress.count)

        async def read(after: int, most: int) -> Page:
            request = wire.ReadChainRequest(after_sequence=after, max_entries=most)
            return translation.chain_page(await stub.ReadChain(request))

        return await verify(read, signed, report)


def _verdict(progress: Progress) -> str:
    if not progress.count:
        return "The audit log is intact: it has no entries."
    entries = "1 entry" if progress.count == 1 else f"{progress.count:,} entries"
    return f"The audit log is intact: {entries}, {progress.first} to {progress.last}, hash {progress.hash.hex()}."


_COMMANDS: Final = {"list": _list, "verify": _verify}


def _table(entries: Sequence[wire.AuditEntry]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("no", "time", "tenant", "actor", "action", "subject", "trace"):
        table.add_column(heading, overflow="fold")
    for each in entries:
        whose = tenant_of(each.actor) or "default"
        actor, subject = plain_id(each.actor), plain_id(each.subject)
        cells = (each.sequence, each.time.ToJsonString(), whose, actor, each.action, subject, each.trace_id)
        table.add_row(*(Text(plain(cell)) for cell in cells))
    return table


def _entry_json(of: wire.AuditEntry) -> dict[str, Any]:
    return {
        "sequence": of.sequence,
        "time": of.time.ToJsonString(),
        "tenant": tenant_of(of.actor) or None,
        "actor": plain_id(of.actor),
        "action": of.action,
        "subject": plain_id(of.subject) or None,
        "traceId": of.trace_id or None,
        "hash": of.hash,
    }


def _count(text: str) -> int:
    """A number of entries, 1 or more."""
    if not (text.isascii() and text.isdecimal() and int(text)):
        message = f"{text!r} is no number from 1 on"
        raise argparse.ArgumentTypeError(message)
    return int(text)
