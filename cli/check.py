"""`journeymesh check`: sends the calculator example as a new user, and waits for the help it should trigger."""

import argparse
import asyncio
import time
import uuid
from typing import Final, NamedTuple

import httpx
from rich.console import Console

from cli.arguments import KeySettings, add_url
from cli.explanation import Json
from cli.terminal import plain
from mesh.settings import read_or_exit

_PATIENCE_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.02
_AWAY_SECONDS: Final = 0.5


class Help(NamedTuple):
    """Help, and how long after its events were accepted it became visible."""

    user_id: str
    action: str
    decision_id: str
    seconds: float


class NoHelpError(Exception):
    """There was no help; the message says why, in one sentence."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_url(parser)
    parser.add_argument(
        "--patience",
        type=float,
        default=_PATIENCE_SECONDS,
        metavar="SECONDS",
        help="how long to wait for the mesh and its help (default: %(default)g)",
    )


async def main(arguments: argparse.Namespace) -> int:
    """Prints the help; returns 1 if there was none."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    headers, timeout = read_or_exit(KeySettings).headers, httpx.Timeout(10, connect=2)
    try:
        async with httpx.AsyncClient(base_url=arguments.url, headers=headers, timeout=timeout) as client:
            help_ = await check(client, arguments.patience)
    except (NoHelpError, httpx.InvalidURL) as error:
        console.print(f"journeymesh: {arguments.url}: {plain(error)}")
        return 1
    console.print(
        f"Help came {help_.seconds * 1000:.0f} ms after its events: {plain(help_.action)} for {help_.user_id}."
    )
    console.print(f"Decision: {plain(help_.decision_id)}")
    return 0


async def check(client: httpx.AsyncClient, patience_seconds: float) -> Help:
    """Sends the example until help comes, as a new user each time because a policy may hold one out.

    Raises:
        NoHelpError: there was none in time.
    """
    why: NoHelpError | None = None
    try:
        async with asyncio.timeout(patience_seconds):
            while True:
                user_id = f"check-{uuid.uuid4().hex[:12]}"
                try:
                    last = await _sent(client, user_id)
                    why = None
                    return await _helped(client, user_id, last)
                except NoHelpError as error:
                    why = error
                except httpx.HTTPStatusError as error:
                    why = NoHelpError(_refusal(error.response))
                except httpx.TransportError as error:
                    why = NoHelpError(f"The gateway does not answer: {error or type(error).__name__}.")
                except (ValueError, LookupError):
                    why = NoHelpError("The server at this address is not a gateway.")
                await asyncio.sleep(_AWAY_SECONDS)
    except TimeoutError:
        raise why or NoHelpError(f"No help came within {patience_seconds:g} s.") from None


async def _sent(client: httpx.AsyncClient, user_id: str) -> str:
    """Sends the example; returns the id of its last event."""
    await _get(client, "/readyz")
    answer = await client.post("/api/events/track", json={"events": _example(user_id)})
    return str(answer.raise_for_status().json()["eventIds"][-1])


async def _helped(client: httpx.AsyncClient, user_id: str, last: str) -> Help:
    started = time.monotonic()
    while True:
        receipt = await _get(client, f"/api/events/{last}")  # first, or help might come between the two answers
        pending = await _get(client, f"/api/interventions/{user_id}/pending")
        seconds = time.monotonic() - started
        if pending["hasPendingIntervention"]:
            made = await _get(client, f"/api/interventions/{pending['intervention']['id']}")
            return Help(user_id, pending["intervention"]["action"], made["decisionId"], seconds)
        if receipt["state"] != "buffered":
            raise NoHelpError(await _why_not(client, user_id, receipt["state"]))
        await asyncio.sleep(_POLL_SECONDS)


def _example(user_id: str) -> list[dict[str, object]]:
    page = "/calculator"
    steps: list[tuple[str, dict[str, object]]] = [
        ("page_view", {"page": page}),
        ("feature_interaction", {"page": page, "feature": "loan_amount"}),
        ("struggle_signal", {"page": page, "attempts": 3}),
    ]
    return [{"userId": user_id, "eventType": kind, "properties": properties} for kind, properties in steps]


async def _why_not(client: httpx.AsyncClient, user_id: str, state: str) -> str:
    decisions = (await _get(client, f"/api/decisions?userId={user_id}"))["decisions"]
    why = decisions[0]["explanation"] if decisions else f"its events are {state}, but nothing was decided."
    return f"No help for {user_id}: {why}"


async def _get(client: httpx.AsyncClient, path: str) -> Json:
    found: Json = (await client.get(path)).raise_for_status().json()
    return found


def _refusal(response: httpx.Response) -> str:
    """The detail of the gateway's problem, or the bare status if it sent none."""
    try:
        return str(response.json()["detail"])
    except (ValueError, LookupError, TypeError):
        return f"It answers {response.status_code} to {response.request.url.path}."
