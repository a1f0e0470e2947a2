"""`journeymesh model`: lists the exit-risk models, changes what each is used for, and reports on their predictions."""

import argparse
import json
import re
import sys
import urllib.parse
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console
from rich.table import Table

from cli.arguments import KeySettings, add_url
from cli.terminal import plain
from mesh.settings import read_or_exit

_TIMEOUT: Final = httpx.Timeout(30, connect=2)
_SHOWN_CHANGES: Final = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands and their options."""
    doing = parser.add_subparsers(dest="doing", required=True)
    listed = doing.add_parser("list", help="list the models, what each is used for, and the last changes")
    promoted = doing.add_parser("promote", help="make a model live")
    staged = doing.add_parser("stage", help="make a model the canary or the shadow, or take that back")
    staged.add_argument("stage", choices=("canary", "shadow", "candidate"), help="what it is to be used for")
    for each in (promoted, staged):
        each.add_argument("version", metavar="VERSION", help="as `model list` names it")
    staged.add_argument("--percent", type=float, default=0.0, metavar="N", help="share of users of a canary, to 100")
    back = doing.add_parser("rollback", help="end the canary; without one, make the model live that was so before")
    for each in (promoted, staged, back):
        each.add_argument("--tenant", default="", help="only for this tenant (default: everybody)")
        each.add_argument("--why", default="", help="for those who read the changes later")
    _add_report(doing.add_parser("report", help="tell how good archived predictions were, and what has moved since"))
    for each in (listed, promoted, staged, back):
        each.add_argument("--json", dest="is_json", action="store_true", help="print one JSON object, for scripts")
        add_url(each)


async def main(arguments: argparse.Namespace) -> int:
    """Runs the subcommand; returns the exit code: 1 if the gateway refuses it or does not answer."""
    if arguments.doing == "report":
        # Only this subcommand needs the archive's libraries.
        from cli import predictions

        return await predictions.main(arguments)
    headers = read_or_exit(KeySettings).headers
    async with httpx.AsyncClient(base_url=arguments.url, headers=headers, timeout=_TIMEOUT) as client:
        return await run(client, arguments, Console(highlight=False, markup=False, soft_wrap=True))


async def run(client: httpx.AsyncClient, arguments: argparse.Namespace, console: Console) -> int:
    """Runs the subcommand against a gateway; returns the exit code."""
    try:
        answer = await _ask(client, arguments)
        told = answer.json()
    except (httpx.TransportError, json.JSONDecodeError):
        print(f"journeymesh: no gateway answers at {client.base_url}.", file=sys.stderr)  # noqa: T201
        return 1
    if answer.is_error:
        print(f"journeymesh: {plain(str(told.get('detail', answer.status_code)))}", file=sys.stderr)  # noqa: T201
        return 1
    if arguments.is_json:
        console.print(json.dumps(told))
    elif arguments.doing == "list":
        _show(told, console)
    else:
        console.print(_said(told))
    return 0


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--archive", required=True, help="file:///folder or s3://bucket/prefix")
    parser.add_argument("--since", type=_days, default=30, metavar="DAYS", help="such as 30d, back from the last event")
    parser.add_argument("--model", metavar="VERSION", help="what this version says of the same moments")
    parser.add_argument(
        "--label",
        help="what came true, as in docs/training.md (default: what the model tells, else: no event for 14 days)",
    )
    parser.add_argument(
        "--costs",
        type=_costs,
        default="5:1",
        metavar="MISSED:NEEDLESS",
        help="of a user who left unhelped, and of help that was not needed (default: %(default)s)",
    )
    parser.add_argument("--report", type=Path, metavar="DIR", help="write it there with plots, as Markdown and HTML")


def _days(text: str) -> int:
    found = re.fullmatch(r"([1-9]\d{0,4})d?", text)
    if found is None:
        message = f"{text!r} is no number of days"
        raise argparse.ArgumentTypeError(message)
    return int(found[1])


def _costs(text: str) -> tuple[float, float]:
    found = re.fullmatch(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", text)
    missed, needless = map(float, found.groups()) if found else (0.0, 0.0)
    if not (missed and needless):
        message = f"{text!r} is no pair of costs above 0, such as 5:1"
        raise argparse.ArgumentTypeError(message)
    return missed, needless


async def _ask(client: httpx.AsyncClient, arguments: argparse.Namespace) -> httpx.Response:
    if arguments.doing == "list":
        return await client.get("/api/models")
    order = {"tenant": arguments.tenant, "why": arguments.why}
    if arguments.doing == "rollback":
        return await client.post("/api/models:rollback", json=order)
    order |= {"stage": "live"} if arguments.doing == "promote" else _stage(arguments)
    version = urllib.parse.quote(arguments.version, safe="")
    return await client.post(f"/api/models/{version}/stage", json=order)


def _stage(arguments: argparse.Namespace) -> dict[str, Any]:
    return {"stage": arguments.stage, "percent": arguments.percent}


def _show(told: dict[str, Any], console: Console) -> None:
    uses: dict[str, list[str]] = {}
    for each in told["stages"]:
        whose = f" ({each['tenant']})" if each["tenant"] else ""
        uses.setdefault(each["live"], []).append(f"live{whose}")
        if each["canary"]:
            uses.setdefault(each["canary"], []).append(f"canary {each['canaryPercent']:g}%{whose}")
        if each["shadow"]:
            uses.setdefault(each["shadow"], []).append(f"shadow{whose}")
    columns = ("model", "stage", "state", "own users", "trained on", "trained", "problem")
    table = Table(*columns, box=None, padding=(0, 2, 0, 0))
    for each in told["models"]:
        version = each["modelVersion"]
        stage = ", ".join(uses.get(version, ["candidate"]))
        trained = (each["trainingTime"] or "")[:10]
        state = (each["learningState"] or "").replace("_", " ")  # none from a scoring of the previous version
        source, users = plain(each["trainingSource"]), f"{each['ownUserCount']:,}"
        table.add_row(plain(version), stage, state, users, source, trained, plain(each["problem"]))
    console.print(table)
    for each in told["changes"][:_SHOWN_CHANGES]:
        whose = f" for {each['tenant']}" if each["tenant"] else ""
        why = f": {plain(each['why'])}" if each["why"] else ""
        share = f" {each['canaryPercent']:g}%" if each["canaryPercent"] else ""
        when = each["changeTime"][:16].replace("T", " ")
        console.print(f"{when} {plain(each['actor'])}: {each['modelVersion']} is {each['stage']}{share}{whose}{why}")


def _said(stages: dict[str, Any]) -> str:
    whose = f" for {stages['tenant']}" if stages["tenant"] else ""
    canary = f", {stages['canary']} the canary for {stages['canaryPercent']:g}% of users" if stages["canary"] else ""
    shadow = f", {stages['shadow']} the shadow" if stages["shadow"] else ""
    return f"{plain(stages['live'])} is live{whose}{canary}{shadow}; all scoring services follow within seconds."
