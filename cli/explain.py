"""`journeymesh explain`: why somebody was helped, or was not, from one id."""

import argparse
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import httpx
from rich.console import Console
from rich.text import Text

from cli.story import WIDTH, Json, Section, listed, plain, story

_TRACE_ID: Final = re.compile(r"[0-9a-fA-F]{32}")
_MOST_DECISIONS: Final = 100
_MOST_EVENTS: Final = 20
_NOT_FOUND: Final = 404


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("of", metavar="ID", help="id of a decision, of an intervention, or of a trace")
    parser.add_argument(
        "--url",
        default="http://" + os.environ.get("JOURNEYMESH_HTTP_ADDRESS", "127.0.0.1:8080"),
        help="the gateway (default: %(default)s)",
    )


async def main(arguments: argparse.Namespace) -> int:
    """Prints the story; returns the exit code."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    try:
        async with httpx.AsyncClient(base_url=arguments.url, timeout=30) as client:
            return await explain(client, arguments.of, console)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        console.print(f"journeymesh: {arguments.url} does not tell: {plain(error) or type(error).__name__}")
        return 1


async def explain(client: httpx.AsyncClient, of: str, console: Console) -> int:
    """Prints the story of what an id names; returns the exit code.

    Of a trace with several decisions, all are listed, and the story is that of the newest that helped; where none
    did, of that with the highest risk.
    """
    decisions = await _decisions(client, of)
    if not decisions:
        console.print(
            f"journeymesh: {plain(of)} is no decision, intervention or trace that is known, or no longer; "
            "GET /api/decisions?userId= lists those of a user."
        )
        return 1
    if len(decisions) > 1:
        _print(console, [listed(decisions)])
    told = _telling(decisions)
    user = await _get(client, "/api/users/{}/events", told["userId"], limit=_MOST_EVENTS)
    receipt = await _get(client, "/api/events/{}", told["eventId"])
    _print(console, story(told, user["events"] if user else [], receipt))
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
    """What a path answers; None where it knows nothing of the name."""
    if not name:
        return None
    escaped = "".join(f"%{byte:02X}" for byte in name.encode("utf-8", "replace"))
    answer = await client.get(path.format(escaped), params=query)
    if answer.status_code == _NOT_FOUND:
        return None
    found: Any = answer.raise_for_status().json()
    return dict(found)


def _telling(decisions: Sequence[Json]) -> Json:
    helping = [each for each in decisions if each["kind"] == "intervene"]
    return helping[0] if helping else max(decisions, key=lambda each: (each["assessment"] or {}).get("score", 0))


def _print(console: Console, sections: Iterable[Section]) -> None:
    for section in sections:
        console.print(Text(section.title[:WIDTH], style="bold"))
        for line in section.lines:
            console.print(Text(f"  {line}"))
        console.print()
