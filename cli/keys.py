"""`journeymesh keys`: creates, lists, rotates and revokes the keys that callers of the gateway need."""

import argparse
import json
import re
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import grpc
from journeymesh.access.v1 import access_pb2 as wire
from journeymesh.access.v1.access_pb2_grpc import AccessServiceStub
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.access import asking
from cli.rates import add_rate, in_words, rate_json, rate_of
from cli.terminal import minute, plain
from mesh import keys as texts
from mesh.keys import Scope
from mesh.retry import retry

if TYPE_CHECKING:
    from journeymesh.access.v1.access_pb2_grpc import AccessServiceAsyncStub

_KINDS: Final = {"public": wire.KEY_KIND_PUBLIC, "secret": wire.KEY_KIND_SECRET, "admin": wire.KEY_KIND_ADMIN}
_TEXT_KINDS: Final = {"public": texts.Kind.PUBLIC, "secret": texts.Kind.SECRET, "admin": texts.Kind.ADMIN}
_RETRY_SECONDS: Final = 5.0
_KIND_WORDS: Final = {number: word for word, number in _KINDS.items()}
_STATE_WORDS: Final = {
    wire.KEY_STATE_ACTIVE: "active",
    wire.KEY_STATE_EXPIRED: "expired",
    wire.KEY_STATE_ROTATED: "rotated",
    wire.KEY_STATE_REVOKED: "revoked",
    wire.KEY_STATE_TENANT_DELETED: "tenant deleted",
}
_UNKNOWN: Final = "unknown"
"""The word for what only a newer service knows."""
_UNIT_SECONDS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION: Final = re.compile(r"(?P<count>[0-9]{1,9})(?P<unit>[dhms])")
_DATE_WIDTH: Final = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands and their options."""
    doing = parser.add_subparsers(dest="doing", required=True)
    create = doing.add_parser("create", help="create a key and print its text, once")
    create.add_argument(
        "--kind",
        required=True,
        choices=_KINDS,
        help="public: in web pages and apps; secret: on your servers; admin: with those who operate the mesh",
    )
    create.add_argument("--name", required=True, help="what people call it, 1 to 100 characters")
    create.add_argument(
        "--scope",
        dest="scopes",
        action="append",
        default=[],
        metavar="SCOPE",
        help=f"what it may do, any of {', '.join(Scope)}; may be repeated (default: what is usual for its kind)",
    )
    create.add_argument(
        "--origin",
        dest="origins",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="public keys: whose pages may use it, such as https://shop.example; may be repeated (default: any)",
    )
    create.add_argument(
        "--event-type",
        dest="event_types",
        action="append",
        default=[],
        metavar="TYPE",
        help="which events it may send, such as page_view; may be repeated (default: all)",
    )
    create.add_argument(
        "--expires",
        type=_seconds,
        default=0,
        metavar="DURATION",
        help="how long it is valid, such as 90d (default: no end)",
    )
    create.add_argument(
        "--tenant", default="", metavar="NAME", help="whose data it opens (default: the default tenant)"
    )
    add_rate(create, "no limit of its own")
    text = doing.add_parser("text", help="print the text of a key that no mesh has yet, for JOURNEYMESH_KEYS_FOLDER")
    text.add_argument("--kind", required=True, choices=("secret", "admin"), help="as of `keys create`")
    listed = doing.add_parser("list", help="list all keys, the newest first")
    rotate = doing.add_parser("rotate", help="create a key's successor and print its text, once")
    rotate.add_argument("key_id", metavar="KEY_ID", help="the key to replace")
    rotate.add_argument(
        "--grace",
        type=_seconds,
        default=_UNIT_SECONDS["d"],
        metavar="DURATION",
        help="how long the old key stays valid, such as 24h or 0s, at most 30d (default: 24h)",
    )
    revoke = doing.add_parser("revoke", help="end a key at once")
    revoke.add_argument("key_id", metavar="KEY_ID", help="the key to end")
    for each in (create, listed, rotate, revoke):
        each.add_argument("--json", dest="is_json", action="store_true", help="print one JSON object, for scripts")


async def main(arguments: argparse.Namespace) -> int:
    """Runs the subcommand; returns the exit code."""
    if arguments.doing == "text":
        text = texts.new_text(_TEXT_KINDS[arguments.kind], secrets.token_bytes)
        Console(highlight=False, markup=False).print(text, soft_wrap=True)
        return 0

    async def ask(dialled: grpc.aio.Channel, console: Console, _: Console) -> int:
        await run(AccessServiceStub(dialled), arguments, console)
        return 0

    return await asking(ask)


async def run(stub: "AccessServiceAsyncStub", arguments: argparse.Namespace, console: Console) -> None:
    """Runs the subcommand against a service.

    Raises:
        MeshError: the service refuses it or cannot be reached.
    """
    await _COMMANDS[arguments.doing](stub, arguments, console)


async def _create(stub: "AccessServiceAsyncStub", arguments: argparse.Namespace, console: Console) -> None:
    rights = wire.KeyRights(
        scopes=arguments.scopes,
        origins=arguments.origins,
        event_types=arguments.event_types,
        rate=rate_of(arguments),
    )
    text = texts.new_text(_TEXT_KINDS[arguments.kind], secrets.token_bytes)
    request = wire.CreateKeyRequest(
        kind=_KINDS[arguments.kind],
        name=arguments.name,
        rights=rights,
        lifetime_seconds=arguments.expires,
        tenant=arguments.tenant,
        made=_made(text),
    )
    created = await retry(lambda: stub.CreateKey(request), _RETRY_SECONDS)
    created.text = created.text or text
    if arguments.is_json:
        _print_json(console, _issued_json(created))
    else:
        _print_issued(console, created)


async def _list(stub: "AccessServiceAsyncStub", arguments: argparse.Namespace, console: Console) -> None:
    keys = (await stub.ListKeys(wire.ListKeysRequest())).keys
    if arguments.is_json:
        _print_json(console, {"keys": [_key_json(key) for key in keys]})
    elif keys:
        console.print(_table(keys))
    else:
        console.print("There are no keys; `journeymesh keys create` makes one.", soft_wrap=True)


async def _rotate(stub: "AccessServiceAsyncStub", arguments: argparse.Namespace, console: Console) -> None:
    listed = (await stub.ListKeys(wire.ListKeysRequest())).keys
    kinds = [_TEXT_KINDS[_kind(key)] for key in listed if key.key_id == arguments.key_id and key.kind in _KIND_WORDS]
    # An unknown key is refused whatever the kind of its successor.
    text = texts.new_text(kinds[0] if kinds else texts.Kind.SECRET, secrets.token_bytes)
    request = wire.RotateKeyRequest(key_id=arguments.key_id, grace_seconds=arguments.grace, made=_made(text))
    rotated = await retry(lambda: stub.RotateKey(request), _RETRY_SECONDS)
    rotated.text = rotated.text or text
    if arguments.is_json:
        _print_json(console, {**_issued_json(rotated), "replaced": _key_json(rotated.replaced)})
        return
    _print_issued(console, rotated)
    old = rotated.replaced
    is_over = old.state != wire.KEY_STATE_ACTIVE
    fate = "is no longer valid" if is_over else f"stays valid until {minute(old.ends_at)} UTC"
    console.print(f"The old key {old.key_id} {fate}.", soft_wrap=True)


async def _revoke(stub: "AccessServiceAsyncStub", arguments: argparse.Namespace, console: Console) -> None:
    key = (await stub.RevokeKey(wire.RevokeKeyRequest(key_id=arguments.key_id))).key
    if arguments.is_json:
        _print_json(console, _key_json(key))
    elif key.state == wire.KEY_STATE_REVOKED:
        console.print(f"{_title(key)} is revoked. Gateways refuse it within five seconds.", soft_wrap=True)
    else:
        console.print(f"{_title(key)} had ended before: {_state(key)}.", soft_wrap=True)


_COMMANDS: Final = {"create": _create, "list": _list, "rotate": _rotate, "revoke": _revoke}


def _made(text: str) -> wire.MadeKey:
    """A key of this text: made here, so that only its hash travels, and a call may be repeated."""
    made = cast("texts.PresentedKey", texts.presented(text))
    return wire.MadeKey(key_id=made.key_id, text_hash=made.text_hash)


def _print_issued(console: Console, issued: wire.CreateKeyResponse | wire.RotateKeyResponse) -> None:
    key = issued.key
    end = f"valid until {minute(key.ends_at)} UTC" if key.HasField("ends_at") else "valid without end"
    whose = f" It opens the data of {plain(key.tenant)}." if key.tenant else ""
    console.print(f"{_title(key)} is {end}.{whose} Its scopes: {', '.join(key.rights.scopes)}.", soft_wrap=True)
    if key.rights.HasField("rate"):
        console.print(f"It may send and ask for {in_words(key.rights.rate)}.", soft_wrap=True)
    console.print("This is its text, which is shown only once:", soft_wrap=True)
    console.print(f"\n{issued.text}\n", soft_wrap=True)
    if issued.identity_secret:
        console.print(
            "This is its identity secret, with which your server signs who the user of a page is. "
            "It is shown only once; keep it on the server:",
            soft_wrap=True,
        )
        console.print(f"\n{issued.identity_secret}\n", soft_wrap=True)


def _title(key: wire.Key) -> str:
    return f"The {_kind(key)} key {key.key_id} ({plain(key.name)})"


def _table(keys: Sequence[wire.Key]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), caption="Times are in UTC.", caption_justify="left")
    for heading in ("id", "tenant", "kind", "name", "state", "rate", "scopes", "origins"):
        table.add_column(heading, no_wrap=heading not in {"name", "origins"}, overflow="fold")
    for heading in ("created", "last used", "ends"):
        table.add_column(heading, min_width=_DATE_WIDTH)
    for key in keys:
        cells = (
            key.key_id,
            plain(key.tenant) or "default",
            _kind(key),
            plain(key.name),
            _state(key),
            f"{key.rights.rate.per_second}/s" if key.rights.HasField("rate") else "any",
            "\n".join(key.rights.scopes),
            "\n".join(key.rights.origins) or "any" if key.kind == wire.KEY_KIND_PUBLIC else "",
            minute(key.created_at),
            minute(key.last_used_at) if key.HasField("last_used_at") else "never",
            minute(key.ends_at) if key.HasField("ends_at") else "never",
        )
        table.add_row(*map(Text, cells))
    return table


def _print_json(console: Console, of: dict[str, Any]) -> None:
    console.print(json.dumps(of, ensure_ascii=False), soft_wrap=True)


def _issued_json(issued: wire.CreateKeyResponse | wire.RotateKeyResponse) -> dict[str, Any]:
    return {**_key_json(issued.key), "text": issued.text, "identitySecret": issued.identity_secret or None}


def _key_json(key: wire.Key) -> dict[str, Any]:
    return {
        "keyId": key.key_id,
        "tenant": key.tenant or None,
        "kind": _kind(key),
        "name": key.name,
        "state": _state(key),
        "scopes": [*key.rights.scopes],
        "origins": [*key.rights.origins],
        "eventTypes": [*key.rights.event_types],
        "rate": rate_json(key.rights),
        "createdAt": key.created_at.ToJsonString(),
        "lastUsedAt": key.last_used_at.ToJsonString() if key.HasField("last_used_at") else None,
        "endsAt": key.ends_at.ToJsonString() if key.HasField("ends_at") else None,
        "successorId": key.successor_id or None,
    }


def _kind(key: wire.Key) -> str:
    return _KIND_WORDS.get(key.kind, _UNKNOWN)


def _state(key: wire.Key) -> str:
    return _STATE_WORDS.get(key.state, _UNKNOWN)


def _seconds(text: str) -> int:
    """The seconds of a duration such as `90d`, `24h` or `30m`."""
    match = _DURATION.fullmatch(text)
    if match is None:
        message = f"{text!r} is no duration such as 90d, 24h or 30m"
        raise argparse.ArgumentTypeError(message)
    return int(match["count"]) * _UNIT_SECONDS[match["unit"]]
