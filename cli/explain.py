"""`journeymesh explain`: why a user was or was not helped, given an id."""

import argparse
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import httpx
from rich.console import Console
from rich.text import Text

from cli.arguments import KeySettings, add_url
from cli.explanation import WIDTH, Json, Section, explanation, listed
from cli.terminal import plain
from mesh.settings import read_or_exit

_TRACE_ID: Final = re.compile(r"[0-9a-fA-F]{32}")
_MOST_DECISIONS: Final = 100
_MOST_EVENTS: Final = 20
_NOT_FOUND: Final = 404


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("of", metavar="ID", help="id of a decision, an intervention or a trace")
    add_url(parser)


async def main(arguments: argparse.Namespace) -> int:
    """Prints the explanation; returns the exit code."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    headers = read_or_exit(KeySettings).headers
    try:
        async with httpx.AsyncClient(base_url=arguments.url, headers=headers, timeout=30) as client:
            return await explain(client, arguments.of, console)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        console.print(f"journeymesh: {arguments.url} does not answer: {plain(error) or type(error).__name__}")
        return 1


async def explain(client: httpx.AsyncClient, of: str, console: Console) -> int:
    """Explains the decision behind an id; returns the exit code.

    For a trace with several decisions it lists them all, and explains the newest that helped or, if none did, the one
    with the highest risk.
    """
    decisions = await _decisions(client, of)
    if not decisions:
        console.print(
            f"journeymesh: no decision, intervention or trace {plain(of)} is known, or it has expired; "
            "GET /api/decisions?userId= lists a user's decisions."
        )
        return 1
    if len(decisions) > 1:
        _print(console, [listed(decisions)])
    decision = _chosen(decisions)
    user = await _get(client, "/api/users/{}/events", decision["userId"], limit=_MOST_EVENTS)
    receipt = await _get(client, "/api/events/{}", decision["eventId"])
    _print(console, explanation(decision, user["events"] if user else [], receipt))
    return 0


async def _decisions(client: httpx.AsyncClient, of: str) -> Sequence[Json]:
    """The decisions an id names, newest first."""
    if _TRACE_ID.fullmatch(of):
        answer = await client.get("/api/decisions", params={"traceId": of, "limit": _MOST_DECISIONS})
        found: Sequence[Json] = answer.raise_for_status().json()["decisions"]
        return found
    decision = await _get(client, "/api/decisions/{}", of)
    if decision is None:
        intervention = await _get(client, "/api/interventions/{}", of)
        decision = intervention and await _get(client, "/api/decisions/{}", intervention["decisionId"])
    return [decision] if decision else []


async def _get(client: httpx.AsyncClient, path: str, name: str, **query: int) -> Json | None:
    """The answer of a path; None if it is 404."""
    if not name:
        return None
    escaped = "".join(f"%{byte:02X}" for byte in name.encode("utf-8", "replace"))
    answer = await client.get(path.format(escaped), params=query)
    if answer.status_code == _NOT_FOUND:
        return None
    found: Any = answer.raise_for_status().json()
    return dict(found)


def _chosen(decisions: Sequence[Json]) -> Json:
    helping = [each for each in decisions if each["kind"] == "intervene"]
    return helping[0] if helping else max(decisions, key=lambda each: (each["assessment"] or {}).get("score", 0))


def _print(console: Console, sections: Iterable[Section]) -> None:
    for section in sections:
        console.print(Text(section.title[:WIDTH], style="bold"))
        for line in section.lines:
            console.print(Text(f"  {line}"))
        console.print()
