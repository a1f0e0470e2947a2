"""`journeymesh privacy erase`, `export`, `status`, `retention` and `verify`: what the gateway does, and receipts."""

import argparse
import asyncio
import hashlib
import json
import os
import time
import urllib.parse
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console

from cli.arguments import KeySettings, add_url
from cli.forecast import print_forecast
from cli.terminal import plain
from mesh.settings import read_or_exit

_PATIENCE_SECONDS: Final = 600.0
_POLL_SECONDS: Final = 0.5
_BUSY: Final = frozenset({429, 502, 503, 504})
_KINDS: Final = {"e_": "erasures", "x_": "exports"}
_UNFINISHED: Final = frozenset({"suppressed", "erasing", "collecting"})
_MODE: Final = 0o600
COMMANDS: Final = ("erase", "export", "status", "retention", "verify")


class RefusedError(Exception):
    """The gateway refuses it, or does not answer in time; the message says so in one sentence."""


def add_arguments(doing: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommands and their options."""
    erased = doing.add_parser("erase", help="erase a person for good, and write the receipt")
    erased.add_argument("user_id", metavar="USER_ID", help="a user's id, or an anonymous id that was never linked")
    erased.add_argument("--to", type=Path, metavar="FILE", help="a new file for the receipt (default: print it)")
    exported = doing.add_parser("export", help="write all that is kept of a person to a file that only you can read")
    exported.add_argument("user_id", metavar="USER_ID", help="a user's id, or an anonymous id that was never linked")
    exported.add_argument("--to", type=Path, required=True, metavar="FILE", help="a new file for the data")
    exported.add_argument(
        "--format",
        choices=("json", "csv"),
        default="json",
        help="a JSON document, or a ZIP of CSV files (default: json)",
    )
    state = doing.add_parser("status", help="say how far an erasure or an export is")
    state.add_argument("id", metavar="ID", help="as `erase` and `export` print it: e_… or x_…")
    checked = doing.add_parser("verify", help="check that a receipt of `erase` was signed, without a gateway")
    checked.add_argument("receipt", type=Path, metavar="RECEIPT", help="as `erase` writes it")
    checked.add_argument(
        "--public-key", default="", metavar="HEX", help="whose signature it must have (default: the key that it names)"
    )
    kept = doing.add_parser("retention", help="say what retention will delete on a day; it deletes nothing")
    kept.add_argument("--on", default="", metavar="DATE", help="the day (UTC), as 2026-01-02 (default: tomorrow)")
    kept.add_argument("--json", dest="is_json", action="store_true", help="print the gateway's JSON, for scripts")
    for each in (erased, exported, state, kept, checked):
        add_url(each)
    for each in (erased, exported):
        each.add_argument(
            "--patience",
            type=float,
            default=_PATIENCE_SECONDS,
            metavar="SECONDS",
            help="how long to follow it; it goes on without you (default: %(default)g)",
        )


async def main(arguments: argparse.Namespace) -> int:
    """Runs the subcommand; returns the exit code: 0 once it is done, 1 if it is refused, fails or takes too long."""
    console, errors = (Console(highlight=False, markup=False, soft_wrap=True, stderr=each) for each in (False, True))
    headers, timeout = read_or_exit(KeySettings).headers, httpx.Timeout(90, connect=2)
    try:
        async with httpx.AsyncClient(base_url=arguments.url, headers=headers, timeout=timeout) as client:
            await run(client, arguments, console, errors)
    except (RefusedError, httpx.InvalidURL, OSError) as error:
        errors.print(f"journeymesh: {plain(error)}")
        return 1
    return 0


async def run(client: httpx.AsyncClient, arguments: argparse.Namespace, console: Console, errors: Console) -> None:
    """Runs the subcommand against a gateway; progress goes to `errors`.

    Raises:
        RefusedError: it is refused, fails, or is not done in time.
        OSError: the file is there already, or cannot be written.
    """
    if arguments.doing == "verify":
        console.print(verified(arguments.receipt, arguments.public_key))
        return
    if arguments.doing == "status":
        path = f"/api/privacy/{_kind(arguments.id)}/{urllib.parse.quote(arguments.id, safe='')}"
        console.print(_said((await _asked(client, "GET", path)).json()))
        return
    if arguments.doing == "retention":
        on = urllib.parse.urlencode({"on": arguments.on} if arguments.on else {})
        said = (await _asked(client, "GET", f"/api/privacy/retention?{on}")).json()
        if arguments.is_json:
            console.print(json.dumps(said))
        else:
            print_forecast(said, console)
        return
    if arguments.to is not None and arguments.to.exists():
        message = f"{arguments.to} is there already."
        raise RefusedError(message)
    kind = "erasures" if arguments.doing == "erase" else "exports"
    begun = (await _asked(client, "POST", f"/api/privacy/{kind}", {"userId": arguments.user_id})).json()
    errors.print(f"{plain(begun['id'])} has begun; `journeymesh privacy status` follows it too.")
    path = f"/api/privacy/{kind}/{urllib.parse.quote(begun['id'], safe='')}"
    done = await _followed(client, path, arguments.patience, errors)
    if done["state"] == "failed":
        message = f"The export failed: {done['trouble']}."
        raise RefusedError(message)
    if arguments.doing == "erase":
        _put(arguments.to, json.dumps(done).encode(), console)
        errors.print(f"The person is erased. SHA-256 of the receipt: {plain(done['receiptHash'])}")
    else:
        data = await _asked(client, "GET", f"{path}/data?format={arguments.format}")
        _put(arguments.to, data.content, console)
        errors.print(f"{done['recordCount']} entries are in {arguments.to}.")


def verified(path: Path, public_key: str) -> str:
    """One sentence about a receipt that was signed with this key, or with the one that it names if this is empty.

    Raises:
        RefusedError: it is no receipt, was not signed, or was changed.
        OSError: it cannot be read.
    """
    from services.access.audit.adapters import heads  # cryptography, which only this needs

    try:
        said = json.loads(path.read_bytes())
        named = hashlib.sha256(said["receipt"].encode()).digest()
        key = public_key or said["receiptPublicKey"]
        if not said["receiptSignature"] or not key:
            message = "The receipt has no signature: the audit log signs no heads. Its hash stands in the audit log."
            raise RefusedError(message)
        heads.verify_receipt(named, bytes.fromhex(said["receiptSignature"]), bytes.fromhex(key))
    except heads.HeadsError as error:
        raise RefusedError(str(error)) from error
    except (ValueError, LookupError, TypeError, AttributeError):
        message = f"{path} is no receipt as `journeymesh privacy erase` writes it."
        raise RefusedError(message) from None
    hint = "" if public_key else " Compare the key with that in the file of the audit log's heads."
    return f"The receipt was signed with the key {plain(key)}. Its SHA-256 is {named.hex()}.{hint}"


async def _followed(client: httpx.AsyncClient, path: str, patience_seconds: float, errors: Console) -> dict[str, Any]:
    """What an erasure or export is in the end."""
    deadline = time.monotonic() + patience_seconds
    with errors.status("…") as shown:
        while True:
            now: dict[str, Any] = (await _asked(client, "GET", path)).json()
            if now["state"] not in _UNFINISHED:
                return now
            shown.update(_said(now))
            if time.monotonic() > deadline:
                message = f"It is not done after {patience_seconds:g} s, and goes on. {_said(now)}"
                raise RefusedError(message)
            await asyncio.sleep(_POLL_SECONDS)


async def _asked(client: httpx.AsyncClient, method: str, path: str, body: object = None) -> httpx.Response:
    """The answer; reading is tried again while the gateway or a service is away for a moment."""
    for pause_seconds in (0.5, 1, 2, 4, None):
        try:
            answer = await client.request(method, path, json=body)
        except httpx.TransportError as error:
            if method != "GET" or pause_seconds is None:
                message = f"The gateway does not answer at {client.base_url}: {error or type(error).__name__}."
                raise RefusedError(message) from None
        else:
            if answer.is_success:
                return answer
            if method != "GET" or answer.status_code not in _BUSY or pause_seconds is None:
                raise RefusedError(_refusal(answer))
        await asyncio.sleep(pause_seconds)
    raise AssertionError


def _kind(some_id: str) -> str:
    kind = _KINDS.get(some_id[:2])
    if kind is None:
        message = "The id of an erasure begins with e_, that of an export with x_."
        raise RefusedError(message)
    return kind


def _said(of: dict[str, Any]) -> str:
    """One line on how far it is."""
    trouble = f", kept by {of['trouble']}" if of["trouble"] else ""
    expires = f"; kept until {of['expiresAt']}" if of.get("expiresAt") else ""
    return plain(f"{of['id']}: {of['state']}{trouble}; asked for at {of['requestedAt']}{expires}")


def _put(path: Path | None, data: bytes, console: Console) -> None:
    """Writes a new file that only its owner can read; without a path the data is printed."""
    if path is None:
        console.print(data.decode())
        return
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "wb") as into:
        into.write(data)


def _refusal(answer: httpx.Response) -> str:
    """The detail of the gateway's problem, or the bare status if it sent none."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, LookupError, TypeError):
        return f"It answers {answer.status_code} to {answer.request.url.path}."
