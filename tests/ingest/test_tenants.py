"""Ids that carry a tenant are judged by what the client wrote, and what is derived from them carries it, too."""

from typing import Any, cast

import pytest
from journeymesh.common.v1 import event_pb2
from journeymesh.ingest.v1 import ingest_pb2

from records.tenants import plain, qualified, tenant_of
from services.ingest.accept.domain.validation import reject
from services.ingest.events.domain import own_ids
from services.ingest.events.domain.event import Event, Named, refused_event_id
from services.ingest.events.translation.event_json import event_json
from tests.builders import NOW_US, event
from tests.ingest import peers
from tests.ingest.harness import ACCEPTED, REJECTED, Harness, running
from tests.ingest.test_reserved import ID, outcome

ACME, OTHER = "acme", "other"
PLAYBACK = event_pb2.Playback(video_id="v" * 128, action=event_pb2.PLAYBACK_ACTION_PLAY)


def of(tenant: str, made: event_pb2.Event) -> event_pb2.Event:
    """The event of a tenant, as a gateway sends it."""
    for name in ("event_id", "user_id", "anonymous_id"):
        if getattr(made, name):
            setattr(made, name, qualified(tenant, getattr(made, name)))
    if made.HasField("playback"):
        made.playback.video_id = qualified(tenant, made.playback.video_id)
    return made


@pytest.fixture
def steps() -> peers.Steps:
    return peers.Steps(lambda _step, _request: None)  # type: ignore[abstract]


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (event("e" * 100, "u" * 128), ""),
        (event(kind="video_playback", playback=PLAYBACK), ""),
        (outcome(), ""),
        (event(event_id="e" * 101), "INVALID_IDENTIFIER"),
        (event(user_id="u" * 129), "INVALID_IDENTIFIER"),
        (event(user_id="a\nb"), "INVALID_IDENTIFIER"),
        (event(user_id="\x1fother\x1fada"), "INVALID_IDENTIFIER"),
        (event(user_id="undefined"), "PLACEHOLDER_ID"),
        (event(event_id="jm:link:1"), "RESERVED_ID"),
        (outcome(is_own=False), "RESERVED_ID"),
    ],
)
async def test_the_tenant_counts_neither_for_nor_against_an_id(
    made: event_pb2.Event, reason: str, steps: peers.Steps
) -> None:
    sent = of(ACME, made)
    refused = reject(cast("Event", sent), NOW_US)
    assert (refused.reason if refused else "") == reason
    async with running(steps) as harness:
        assert (await harness.accept(sent)).verdicts == [REJECTED if reason else ACCEPTED]


@pytest.mark.parametrize("forged", ["\x1f\x1fada", "\x1fAcme\x1fada", "\x1facme", "\x1f", "x\x1facme\x1fada"])
async def test_what_only_looks_like_it_is_no_id(forged: str, steps: peers.Steps) -> None:
    async with running(steps) as harness:
        made = [event("e-1", forged), event(forged), event("e-2", anonymous_id=forged)]
        answer = await harness.accept(*made)
        assert answer.verdicts == [REJECTED, REJECTED, ACCEPTED]
        assert [each.member for each in answer.warnings] == ["anonymousId"]


async def test_the_same_ids_of_two_tenants_are_two_events(steps: peers.Steps) -> None:
    async with running(steps) as harness:
        for tenant in ("", ACME, OTHER):
            answer = await harness.accept(of(tenant, event("e-1")), of(tenant, event("e-2")))
            assert answer.verdicts == [ACCEPTED, ACCEPTED]


def test_what_the_mesh_derives_is_of_the_same_tenant() -> None:
    def names(tenant: str) -> list[str]:
        event_id, user_id, anonymous_id = (qualified(tenant, each) for each in ("e-1", "ada", "a-1"))
        named = Named(event_id, user_id, anonymous_id, 18, NOW_US)
        linked = cast("Event", of(tenant, event("e-1", "a-1")))
        return [
            own_ids.link_id(named),
            own_ids.leave_id(named),
            own_ids.nobody(named),
            own_ids.arrival_id(linked),
            own_ids.copied_id(named.event_id, named.user_id),
        ]

    every = [names(tenant) for tenant in ("", ACME, OTHER)]
    assert [{tenant_of(each) for each in made} for made in every] == [{""}, {ACME}, {OTHER}]
    assert all(plain(each).startswith(own_ids.OWN_ID) for made in every for each in made)
    assert len({plain(each) for made in every for each in made}) == 15
    assert own_ids.is_nobody(every[1][2])


def test_what_failed_is_written_as_its_client_would_send_it_again() -> None:
    made: dict[str, Any] = {"kind": "video_playback", "anonymous_id": "a-1", "playback": PLAYBACK}
    assert event_json(of(ACME, event(**made))) == event_json(event(**made))


async def failed_events(harness: Harness) -> list[ingest_pb2.FailedEvent]:
    return list((await harness.stub.ListFailedEvents(ingest_pb2.ListFailedEventsRequest(page_size=100))).failed_events)


async def test_whose_a_failed_event_is_shows_even_without_an_id_of_the_clients(steps: peers.Steps) -> None:
    async with running(steps) as harness:
        for tenant in ("", ACME, OTHER):
            unread = ingest_pb2.UnreadableEvent(
                payload=b"?",
                event_id=qualified(tenant, ""),
                user_id=qualified(tenant, ""),
                received_time_us=NOW_US,
            )
            await harness.stub.AcceptEvents(ingest_pb2.AcceptEventsRequest(unreadable=[unread]))
            await harness.accept(of(tenant, event("e" * 101, "")), of(tenant, event("e" * 102, "u" * 129)))
        found = await failed_events(harness)
        assert sorted(tenant_of(each.event_id or each.user_id) for each in found) == sorted(["", ACME, OTHER] * 3)
        assert all(plain(each.event_id) == "" for each in found)


def test_the_same_payload_of_two_tenants_is_two_failed_events() -> None:
    made = {refused_event_id(qualified(tenant, ""), b"?") for tenant in ("", ACME, OTHER)}
    assert len(made) == 3
    assert len({refused_event_id(qualified(ACME, ""), payload) for payload in (b"1", b"2")}) == 2


def test_the_outcome_of_an_intervention_has_an_id_of_its_tenant() -> None:
    assert plain(of(ACME, outcome()).event_id) == ID
