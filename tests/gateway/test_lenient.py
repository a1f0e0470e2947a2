"""An unreadable addition never costs the event: it is left out or mended, with a warning."""

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2
from journeymesh.ingest.v1 import ingest_pb2

from gateway.formats.json.mending import mend
from tests.gateway.fakes import Ingest
from tests.gateway.running import Gateway, running

NAN, INFINITY = float("nan"), float("inf")
HALF = "\ufffd"


def event(kind: str = "page_view", **properties: Any) -> dict[str, Any]:
    return {"eventId": "e", "userId": "ada", "eventType": kind, "properties": {"page": "/p", **properties}}


def playing(**properties: Any) -> dict[str, Any]:
    return event("video_playback", **{"videoId": "v", "action": "heartbeat", **properties})


# What is sent, which members of the event are left as they are by default, and which are warned of.
LEFT_OUT: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "attempts in words": (event(attempts="three"), {"attempt_count": 0}, ["attempts"]),
    "attempts that are not whole": (event(attempts=2.5), {"attempt_count": 0}, ["attempts"]),
    "attempts that are true": (event(attempts=True), {"attempt_count": 0}, ["attempts"]),
    "negative attempts": (event(attempts=-1), {"attempt_count": 0}, ["attempts"]),
    "more attempts than can be represented": (event(attempts=2**32), {"attempt_count": 0}, ["attempts"]),
    "a refresh in words": (event(isRefresh="yes"), {"is_refresh": False}, ["isRefresh"]),
    "a label that is a number": (
        event(feature=12345678901234567890001),
        {"target": "12345678901234567890001"},
        ["feature"],
    ),
    "a label with decimals": (event(target=1.50), {"target": "1.5"}, ["target"]),
    "a label that is an object": (event(form={"id": 1}, task="pay"), {"target": "pay"}, ["form"]),
    "a code that is a number": (event("error", errorCode=404), {"error_code": "404"}, ["errorCode"]),
    "a page that is an object": (event("click", page={}), {"page": ""}, ["page"]),
    "a page of many": (event("click", page=3), {"page": ""}, ["page"]),
    "a page with decimals": (event("click", page=1.5), {"page": ""}, ["page"]),
    "a page of many in a text": (event("click", page="3"), {"page": ""}, ["page"]),
    "a click's place in words": (event("click", x="left", y=2), {"click": event_pb2.Click(y=2)}, ["x"]),
    "a click's place in a text": (event("click", x="1.5", y=2), {"click": event_pb2.Click(x=1.5, y=2)}, []),
    "a click's role that is a list": (event("click", role=["a"]), {}, ["role"]),
    "an effect in words": (event("click", effectObserved="no"), {}, ["effectObserved"]),
    "a platform there is not": ({**event(), "context": {"platform": "fridge"}}, {"platform": 0}, ["context.platform"]),
    "a platform that is a number": ({**event(), "context": {"platform": 1}}, {"platform": 0}, ["context.platform"] * 2),
    "a device that is a number": ({**event(), "context": {"deviceId": 7}}, {"device_id": "7"}, ["context.deviceId"]),
    "a zone that is a list": ({**event(), "context": {"timeZone": []}}, {"time_zone": ""}, ["context.timeZone"]),
    "a misspelt context member": (
        {**event(), "context": {"platfrom": "web"}},
        {"platform": 0},
        ["context.platfrom"],
    ),
    "automated in words": (
        {**event(), "context": {"automated": "yes"}},
        {"is_automated": False},
        ["context.automated"],
    ),
    "a context that is a text": ({**event(), "context": "web"}, {"platform": 0}, ["context"]),
    "a context that is a list": ({**event(), "context": []}, {"platform": 0}, ["context"]),
    "a session that is a number": ({**event(), "sessionId": 17}, {"session_id": "17"}, ["sessionId"]),
    "a time of sending that is none": ({**event(), "sentAt": ""}, {"sent_time_us": 0}, ["sentAt"]),
    "a time of sending without zone": ({**event(), "sentAt": "2026-01-02T10:00:30"}, {"sent_time_us": 0}, ["sentAt"]),
    "a length in words": (playing(durationSeconds="long"), {}, ["durationSeconds"]),
    "a position in a text": (playing(positionSeconds="12.5"), {}, []),
    "a video that is a number": (playing(videoId=17), {}, ["videoId"]),
    "a channel that is a list": (
        event("intervention_outcome", interventionId="i", outcome="shown", channel=[]),
        {},
        ["channel"],
    ),
    "several at once": (
        {**event(attempts="x", isRefresh=1), "context": {"platform": "web", "deviceId": []}, "sentAt": 5},
        {"platform": event_pb2.PLATFORM_WEB, "page": "/p"},
        ["attempts", "context.deviceId", "isRefresh", "sentAt"],
    ),
}


@pytest.mark.parametrize(("sent", "members", "warned"), LEFT_OUT.values(), ids=LEFT_OUT)
async def test_unreadable_members_are_left_out_with_a_warning(
    gateway: Gateway, sent: dict[str, Any], members: dict[str, Any], warned: list[str]
) -> None:
    answer = await gateway.track(sent)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1), answer.text
    (taken,) = gateway.services.ingest.events
    for member, value in members.items():
        assert getattr(taken, member) == value
    assert sorted(each["member"] for each in answer.json()["warnings"]) == warned
    assert all((each["index"], each["eventId"]) == (0, "e") for each in answer.json()["warnings"])
    assert all(each["detail"].endswith(".") for each in answer.json()["warnings"])
    # What was sent is kept as it was sent.
    assert json.loads(taken.properties) == sent["properties"]


def text(**members: Any) -> bytes:
    return json.dumps({**event(), **members}).encode()


# The bytes sent, and the properties as they are kept.
MENDED: dict[str, tuple[bytes, dict[str, Any]]] = {
    "NaN": (text(properties={"x": NAN}), {"x": None}),
    "infinity": (text(properties={"x": INFINITY}), {"x": None}),
    "minus infinity": (text(properties={"x": [-INFINITY, -1]}), {"x": [None, -1]}),
    "words in a text": (text(properties={"x": NAN, "y": "NaN -Infinity \\"}), {"x": None, "y": "NaN -Infinity \\"}),
    "the first half": (text(properties={"x": "a\ud83d"}), {"x": f"a{HALF}"}),
    "the second half": (text(properties={"x": "\ude00b"}), {"x": f"{HALF}b"}),
    "halves the wrong way round": (text(properties={"x": "\ude00\ud83d"}), {"x": HALF * 2}),
    "one half before a whole": (text(properties={"x": "\ud83d\U0001f600"}), {"x": f"{HALF}\U0001f600"}),
    "a half in a name": (text(properties={"\ud83d": 1}), {HALF: 1}),
    "what only looks like a half": (
        text(properties={"x": "\ud83d", "y": "\\ud83d"}),
        {"x": HALF, "y": "\\ud83d"},
    ),
    "Latin-1": (text(properties={"x": "QQ"}).replace(b"QQ", b"caf\xe9"), {"x": f"caf{HALF}"}),
    "a half as bytes": (text(properties={"x": "QQ"}).replace(b"QQ", b"\xed\xa0\xbd!"), {"x": f"{HALF}!"}),
    "both halves as bytes": (
        text(properties={"x": "QQ"}).replace(b"QQ", b"\xed\xa0\xbd\xed\xb8\x80"),
        {"x": "\U0001f600"},
    ),
    "an overlong character": (text(properties={"x": "QQ"}).replace(b"QQ", b"\xc0\x80"), {"x": HALF * 2}),
    "all of it": (
        text(properties={"x": NAN, "y": "\ud83d", "z": "QQ"}).replace(b"QQ", b"\xff"),
        {"x": None, "y": HALF, "z": HALF},
    ),
}


@pytest.mark.parametrize(("body", "properties"), MENDED.values(), ids=MENDED)
@pytest.mark.parametrize("is_batch", [False, True])
async def test_what_is_almost_json_is_mended_with_a_warning(
    gateway: Gateway, body: bytes, properties: dict[str, Any], *, is_batch: bool
) -> None:
    if is_batch:
        body = b'{"events":[' + text(eventId="a") + b"," + body + b"," + text(eventId="b") + b"]}"
    answer = await gateway.post(body)
    assert (answer.status_code, answer.json()["rejected"]) == (202, []), answer.text
    mended = gateway.services.ingest.events[int(is_batch)]
    assert json.loads(mended.properties) == properties
    assert [(one["index"], one["eventId"], one["member"]) for one in answer.json()["warnings"]] == [
        (int(is_batch), "e", "")
    ]
    assert gateway.services.ingest.unreadable == []


@pytest.mark.parametrize(("body", "properties"), MENDED.values(), ids=MENDED)
async def test_it_is_mended_for_segment_s_clients_too(
    gateway: Gateway, body: bytes, properties: dict[str, Any]
) -> None:
    message = body.replace(b'"eventId": "e"', b'"messageId": "e", "type": "track", "event": "Seen"')
    whole = b'{"type":"page","userId":"ada","name":"n"}'
    batch = b'{"context":{"x":NaN},"batch":[' + whole + b", " + message + b'],"sentAt":"2026-01-02T10:00:31Z"}'
    answer = await gateway.post(batch, "/v1/batch")
    assert (answer.status_code, answer.json()["accepted"]) == (200, 2), answer.text
    _, mended = gateway.services.ingest.events
    assert properties.items() <= json.loads(mended.properties).items()
    assert mended.sent_time_us == 1_767_348_031_000_000
    assert [(one["index"], one["eventId"]) for one in answer.json()["warnings"]] == [(1, "e")]


BYTE_ORDER = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain;charset=UTF8", "application/json; charset=utf8"]
)
async def test_a_mark_of_the_byte_order_costs_nothing(gateway: Gateway, content_type: str) -> None:
    for path, body in (
        ("/api/events/track", text(eventId="a")),
        ("/api/events/track", b'{"events":[' + text(eventId="b") + b"]}"),
        ("/v1/track", b'{"userId":"ada","event":"e"}'),
        ("/v1/batch", b'{"batch":[{"type":"page","userId":"ada","name":"n"}]}'),
    ):
        answer = await gateway.post(BYTE_ORDER + body, path, **{"content-type": content_type})
        assert answer.status_code in {200, 202}, answer.text
        packed = {"content-type": content_type, "content-encoding": "gzip"}
        again = await gateway.post(gzip.compress(BYTE_ORDER + body), path, **packed)
        assert again.status_code in {200, 202}, again.text


async def test_a_failed_event_can_be_corrected_on_replay(gateway: Gateway) -> None:
    failed = ingest_pb2.FailedEvent(id="f-1", payload=text(properties={"x": NAN}).decode())
    gateway.services.ingest.failed["f-1"] = failed
    answer = await gateway.client.post("/api/failed-events/f-1:replay")
    assert (answer.status_code, answer.json()["accepted"], len(answer.json()["warnings"])) == (202, 1, 1)


class Strict(Ingest):
    """Warns of every event that it takes."""

    def _judge(self, request: ingest_pb2.AcceptEventsRequest) -> ingest_pb2.AcceptEventsResponse:
        response = super()._judge(request)
        for index, verdict in enumerate(response.verdicts):
            if verdict == ingest_pb2.VERDICT_ACCEPTED:
                response.warnings.add(event_index=index, member="context.timeZone", detail="It is no zone.")
        return response


async def test_warnings_of_ingest_are_added() -> None:
    async with running() as gateway:
        object.__setattr__(gateway.services.ingest, "_judge", Strict()._judge)
        answer = await gateway.track(
            {**event(), "eventId": "a", "usrId": 1},
            {**event(), "eventId": "b", "userId": "refused"},
            {**event(attempts="three"), "eventId": "c"},
            {**event(attempts="three"), "eventId": "d", "userId": "refused"},
            {**event(), "eventId": "f"},
        )
        listed = [(each["index"], each["eventId"], each["member"]) for each in answer.json()["warnings"]]
        assert listed == [(2, "c", "attempts"), (2, "c", "context.timeZone"), (4, "f", "context.timeZone")]
        assert [each["index"] for each in answer.json()["rejected"]] == [0, 1, 3]
        segment = await gateway.client.post("/v1/track", json={"userId": "ada", "event": "e", "messageId": "g"})
        assert segment.json()["warnings"] == [
            {"index": 0, "eventId": "g", "member": "context.timeZone", "detail": "It is no zone."}
        ]


async def test_warnings_are_bounded(gateway: Gateway) -> None:
    context = {f"m{n}": n for n in range(900)}
    answer = await gateway.track({**event(), "context": context})
    assert answer.status_code == 202
    assert 100 <= len(answer.json()["warnings"]) < 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)


def faultless(value: Any) -> Any:
    """The value as it comes out mended."""
    if isinstance(value, float) and (value != value or abs(value) == INFINITY):  # noqa: PLR0124 - it is NaN
        return None
    if isinstance(value, list):
        return [faultless(each) for each in value]
    return {name: faultless(each) for name, each in value.items()} if isinstance(value, dict) else value


@given(json_values, st.sampled_from([False, True]))
def test_mending_changes_nothing_but_the_faults(value: Any, is_ascii: bool) -> None:  # noqa: FBT001 - drawn
    written = json.dumps(value, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    mended = mend(written)
    assert json.loads(mended.written if mended else written) == faultless(value)
    assert (mended is None) == (faultless(value) == value)


halves = st.text(st.sampled_from('\ud800\udbff\udc00\udfffa\\"\U0001f600'), max_size=8)


@given(halves)
def test_halves_that_meet_become_one_character_and_others_a_mark(text: str) -> None:
    for written in (json.dumps(text).encode(), json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")):
        mended = mend(written)
        decoded = json.loads(mended.written if mended else written)
        assert decoded == text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


@given(st.binary(max_size=60))
def test_mended_json_is_utf_8(written: bytes) -> None:
    mended = mend(written)
    (mended.written if mended else written).decode("utf-8", "strict" if mended else "replace")
