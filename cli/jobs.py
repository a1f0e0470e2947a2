"""`journeymesh jobs`: starts, follows, lists and cancels work over everything that is archived."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any, Final

import httpx
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from cli.arguments import KeySettings, add_url
from cli.terminal import plain
from mesh.settings import read_or_exit

_TRAINING: Final = "model_training"
_KINDS: Final = ("customers_fit", "customers_export", _TRAINING)
_TIMEOUT: Final = 30
_EVERY_SECONDS: Final = 1.0
_OPEN: Final = frozenset({"queued", "running"})
_DONE: Final = "done"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands and their options."""
    doing = parser.add_subparsers(dest="doing", required=True)
    run = doing.add_parser("run", help="start a job, and follow it until it ends; Ctrl-C leaves it running")
    run.add_argument("kind", choices=_KINDS, metavar="KIND", help=f"what it does: {', '.join(_KINDS)}")
    run.add_argument("--label", default="", metavar="TEXT", help=f"of {_TRAINING}: what the model foretells")
    run.add_argument(
        "--promote",
        action="store_true",
        help=f"of {_TRAINING}: make the model live if it is shown to be no worse than the live one",
    )
    listed = doing.add_parser("list", help="list the latest jobs, newest first")
    cancelled = doing.add_parser("cancel", help="cancel a job")
    cancelled.add_argument("id", metavar="ID", help="of the job")
    for each in (run, listed, cancelled):
        add_url(each)
        each.add_argument("--json", dest="is_json", action="store_true", help="print the answer as JSON")


async def main(arguments: argparse.Namespace) -> int:
    """Runs the subcommand; returns the exit code: 1 if the job does not end well or the gateway refuses."""
    headers = read_or_exit(KeySettings).headers
    async with httpx.AsyncClient(base_url=arguments.url, headers=headers, timeout=_TIMEOUT) as client:
        console = Console(highlight=False, markup=False, soft_wrap=True)
        return await asked(client, arguments, console, _EVERY_SECONDS)


async def asked(
    client: httpx.AsyncClient, arguments: argparse.Namespace, console: Console, every_seconds: float
) -> int:
    """Runs the subcommand against a gateway; returns the exit code.

    Args:
        client: reaches the gateway.
        arguments: the subcommand.
        console: where to print what comes of it.
        every_seconds: how often a job that is followed is asked for.
    """
    try:
        if arguments.doing == "list":
            told = _told(await client.get("/api/jobs"))
        elif arguments.doing == "cancel":
            told = _told(await client.post(f"/api/jobs/{arguments.id}:cancel"))
        else:
            begun = _told(await client.post("/api/jobs", json=_wanted(arguments)))
            told = await _followed(client, begun, every_seconds)
    except (httpx.TransportError, json.JSONDecodeError):
        return _refused(f"no gateway answers at {client.base_url}.")
    except httpx.HTTPStatusError as error:
        return _refused(str(error.response.json().get("detail", error.response.status_code)))
    if arguments.is_json:
        console.print(json.dumps(told))
    elif arguments.doing == "list":
        console.print(_table(told))
    else:
        console.print(_said(told))
    return int(arguments.doing == "run" and told["state"] != _DONE)


def _wanted(arguments: argparse.Namespace) -> Mapping[str, Any]:
    options = {"label": arguments.label, "promote": arguments.promote}
    return {"kind": arguments.kind} | ({"training": options} if any(options.values()) else {})


async def _followed(client: httpx.AsyncClient, job: Mapping[str, Any], every_seconds: float) -> Mapping[str, Any]:
    with Progress(console=Console(stderr=True), transient=True) as bar:
        shown = bar.add_task(job["state"], total=1.0)
        while job["state"] in _OPEN:
            bar.update(shown, description=plain(job["step"] or job["state"]), completed=job["progress"])
            await asyncio.sleep(every_seconds)
            job = _told(await client.get(f"/api/jobs/{job['jobId']}"))
    return job


def _told(answer: httpx.Response) -> Any:  # noqa: ANN401 - JSON
    return answer.raise_for_status().json()


def _refused(why: str) -> int:
    print(f"journeymesh: {plain(why)}", file=sys.stderr)  # noqa: T201
    return 1


def _said(job: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{count:,} {name}" for name, count in sorted(job["counts"].items()))
    model = job.get("model")  # an older gateway tells none
    why = (_model(model) if model else counts) or job["detail"]
    return plain(f"The job {job['jobId']} is {job['state']}{f': {why}' if why else '.'}")


_GATES: Final = {
    "passed": "shown to be no worse than the live model",
    "failed": "not shown to be as good as the live model",
    "not_compared": "not compared with a live model",
}


def _model(of: Mapping[str, Any]) -> str:
    figures = ", ".join(f"{name} {figure['value']:.3f}" for name, figure in sorted(of["figures"].items()))
    stage = "live" if of["isLive"] else "a candidate"
    return f"{of['modelVersion']} is {stage}, {_GATES.get(of['gate'], of['gate'])}; {figures} ({of['measuredOn']})."


def _table(told: Mapping[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("id", "kind", "state", "progress", "step", "asked for", "told"):
        table.add_column(heading, justify="right" if heading == "progress" else "left")
    for job in told["jobs"]:
        counts = ", ".join(f"{count:,} {name}" for name, count in sorted(job["counts"].items()))
        cells = (job["jobId"], job["kind"], job["state"], f"{job['progress']:.0%}", job["step"], job["createdTime"])
        table.add_row(*map(plain, (*cells, counts or job["detail"])))
    return table
