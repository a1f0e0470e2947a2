"""Personal data and secrets are masked, and nothing else is; what was masked is said and counted."""

import json
import time
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.common.v1 import error_reason_pb2, event_pb2
from journeymesh.ingest.v1 import ingest_pb2

from mesh.settings import SettingError
from records.table import of_events
from services.ingest import bootstrap
from services.ingest.accept.domain.acceptance import judge
from services.ingest.accept.domain.masking.hint import suspects
from services.ingest.accept.domain.masking.json_text import masked_json
from services.ingest.accept.domain.masking.kinds import ALL, KINDS, MASKS, Masking, chosen
from services.ingest.accept.domain.masking.tables import masked_payload
from services.ingest.accept.domain.masking.tenants import Maskings
from services.ingest.accept.domain.masking.texts import masked_text
from services.ingest.accept.domain.tidying import DEFAULT_RULES
from services.ingest.settings import Settings
from tests.builders import NOW_US, event
from tests.ingest import labelled
from tests.ingest.harness import ACCEPTED, REJECTED, running

CASES = [*labelled.cases()]
HELD = [case.text for case in CASES if case.kind and not case.is_json]
MAIL = "ada@example.org"
IDENTIFY = {"email": MAIL, "pushTarget": MAIL, "backup": MAIL, "more": {"email": MAIL}}


def of(text: str, masking: Masking = ALL) -> str:
    return masked_text(text, masking, [])


def of_json(text: str, masking: Masking = ALL) -> str:
    return masked_json(text, masking, [])


@pytest.mark.parametrize("kind", KINDS)
def test_precision_and_recall_are_high_for_every_kind(kind: str) -> None:
    measured = labelled.measured()[kind]
    assert measured.there >= 25
    assert measured.precision >= 0.98
    assert measured.recall >= 0.95


def test_the_document_says_how_good_masking_is_and_by_how_many_texts() -> None:
    document = (Path(__file__).parents[2] / "docs" / "privacy.md").read_text(encoding="utf-8")
    assert labelled.table() in document
    assert f"{len(CASES)} texts, of which {sum(not case.kind for case in CASES)} only" in document


# Pieces of what is masked, of what is not, and what stands between.
PIECES = st.one_of(
    st.sampled_from(HELD),
    st.sampled_from([case.text for case in CASES if not case.kind]),
    st.sampled_from([*MASKS.values(), *" @+=&?%/:.-()\"'\\\n\u00a0", "%40", "token=", "password", "://", "00", "eyJ"]),
    st.text(alphabet="0123456789 -+()./", max_size=20),
    st.text(max_size=10),
)
TEXTS = st.lists(PIECES, max_size=8).map("".join)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXTS | st.sampled_from(["password", "phone", "cvv", "email"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(TEXTS)
def test_what_is_masked_stays_as_it_is(text: str) -> None:
    masked = of(text)
    assert of(masked) == masked


@given(TEXTS)
def test_nothing_is_masked_that_the_search_would_miss(text: str) -> None:
    if of(text) != text:
        assert suspects([b"", text.encode("utf-8", "surrogatepass")], ALL) == [1]
    for written in (json.dumps({"a": text}), json.dumps({"a": text}, ensure_ascii=False)):
        if of_json(written) != written:
            assert suspects([b"{}", written.encode("utf-8", "surrogatepass")], ALL) == [1]


@given(TEXTS)
def test_text_that_holds_nothing_is_the_same_object(text: str) -> None:
    found: list[str] = []
    masked = masked_text(text, ALL, found)
    assert bool(found) == (masked != text)
    assert found or masked is text


def is_alike(one: Any, other: Any) -> bool:
    """Whether two documents have the same shape, but for what is masked in the other."""
    if other in MASKS.values():
        return True
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_alike, one, other))
    if isinstance(one, tuple) and isinstance(other, tuple):
        return is_alike(one[1], other[1])
    if isinstance(one, str) and isinstance(other, str):
        return of(one) == other
    return type(one) is type(other) and one == other


@given(DOCUMENTS, st.booleans())
def test_json_stays_json_of_the_same_shape(document: Any, ascii_only: bool) -> None:  # noqa: FBT001 - drawn
    written = json.dumps({"a": document}, ensure_ascii=ascii_only)
    masked = of_json(written)
    before, after = (json.loads(text, object_pairs_hook=list[Any]) for text in (written, masked))
    assert is_alike(before, after)
    assert of_json(masked) == masked
    if masked == written:
        assert masked is written


@given(st.binary(max_size=200) | TEXTS.map(str.encode) | DOCUMENTS.map(lambda each: json.dumps(each).encode()))
def test_any_payload_can_be_masked(payload: bytes) -> None:
    masked = masked_payload(payload, ALL, [])
    assert masked_payload(masked, ALL, []) == masked


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a": "ada@example.org", "b": ',
        b'[{"password": "ada@example.org',
        b"a=1&email=ada@example.org",
        b"\xff\xfe ada@example.org \xff",
        b'{"eventType": 7, "x\\u0040": "ada\\u0040example.org"}',
        b'{"eventType": 7},{"userId": "u", "to": "ada@example.org"}',
        b'"ada@example.org"',
        b'{"secret": {"a": ["ada@example.org"',
    ],
)
def test_what_cannot_be_read_is_masked_as_well(payload: bytes) -> None:
    masked = masked_payload(payload, ALL, [])
    assert b"example" not in masked
    assert b"[email]" in masked or b"[secret]" in masked


def test_what_is_written_between_masked_values_stays_to_the_byte() -> None:
    written = '{ "n" : 0.10,"big":1e400,\n"mail":"ada@example.org" , "s":"\\u00e9\\/" }'
    assert of_json(written) == written.replace("ada@example.org", "[email]")


HOSTILE = (
    *(
        "a@",
        "a.",
        "%40",
        "a%2B",
        "0 ",
        "01 ",
        "4 ",
        "+1",
        "+1 ",
        "4111 ",
        "AB12",
        "://",
        "token=",
        "eyJ",
        "(0)",
        "a@a.",
        '"',
    ),
    *("a@b.io ", "+200000000", "+491711234567 ", "pin=1&", "4111 1111 1111 1112 ", "DE89 3704 0044 0532 0130 01 "),
    *('"a@b.io",', '"pin":1,', '{"pin":[', "[", "\\u0040", "\\"),
)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_long_texts_take_no_longer_than_their_length_asks_for(hostile: str) -> None:
    def seconds(length: int) -> float:
        payload = f'{{"a":"{hostile * (length // len(hostile))}'.encode()
        timed = []
        for _ in range(3):
            began = time.thread_time()
            masked_payload(payload, ALL, [])
            timed.append(time.thread_time() - began)
        return min(timed)

    # Sixteen times the length, with room for what a busy machine adds; the square would be 256 times.
    assert seconds(32_000) < 64 * max(0.001, seconds(2_000))


def judged(*events: event_pb2.Event, masking: Masking = ALL) -> tuple[list[event_pb2.Event], Any]:
    table = of_events(events)
    result = judge(cast("Any", table), NOW_US, DEFAULT_RULES, Maskings(masking))
    return table.events(), result


def test_all_text_of_an_event_is_masked_and_the_answer_names_the_members() -> None:
    played = event_pb2.Playback(video_id=MAIL, action=event_pb2.PLAYBACK_ACTION_PLAY, content_type=MAIL, topic=MAIL)
    click = event("e-2", kind="click", click=event_pb2.Click(role=MAIL))
    playback = event("e-3", kind="video_playback", playback=played)
    told = event_pb2.InterventionOutcome(outcome=event_pb2.OUTCOME_SHOWN, channel=MAIL)
    outcome = event("e-4", kind="intervention_outcome", outcome=told)
    page = event(
        page=f"https://shop.example/u/{MAIL}?token=abc&x=1&utm_source=a",
        target=f"mail {MAIL}",
        error_code="4111111111111111",
        properties=f'{{"to":["{MAIL}"],"password":"x"}}'.encode(),
        session_id=MAIL,
        device_id=MAIL,
    )
    lines = [
        event_pb2.OrderLine(product_id="4006381333931", name=f"Card for {MAIL}", category=MAIL, quantity=1),
        event_pb2.OrderLine(product_id=MAIL, name=MAIL, quantity=1),  # the shop gave no id
    ]
    purchase = event("e-5", kind="purchase", purchase=event_pb2.Purchase(order_id=MAIL, lines=lines))
    gift = event_pb2.RecommendedProduct(product_id=MAIL, name=f"for {MAIL}")
    change = event_pb2.SegmentChange(segment=f"of {MAIL}", products=[gift])
    segment = event("e-6", kind="segment_change", segment_change=change)
    (one, two, three, four, five, six), result = judged(page, click, playback, outcome, purchase, segment)
    assert one.page == "/u/[email]?token=[token]&x=1"
    assert one.address == "/u/[email]?token=[token]&x=1&utm_source=a"
    assert (one.target, one.error_code) == ("mail [email]", "[card]")
    assert one.properties == b'{"to":["[email]"],"password":"[secret]"}'
    assert (one.session_id, one.device_id) == (MAIL, MAIL)
    assert two.click.role == three.playback.topic == three.playback.content_type == four.outcome.channel == "[email]"
    assert (three.playback.video_id, five.purchase.order_id) == (MAIL, MAIL)
    assert [(line.product_id, line.name, line.category) for line in five.purchase.lines] == [
        ("4006381333931", "Card for [email]", "[email]"),
        ("[email]", "[email]", ""),
    ]
    assert (six.target, six.segment_change.segment) == ("of [email]", "of [email]")
    assert [(each.product_id, each.name) for each in six.segment_change.products] == [(MAIL, "for [email]")]
    assert [note.member for note in result.notes[0]] == ["page", "target", "errorCode", "properties"]
    assert result.notes[0][3].detail == "It held personal data or secrets, which were masked: email, secret."
    assert {row: [note.member for note in notes] for row, notes in result.notes.items() if row} == {
        1: ["role"],
        2: ["contentType", "topic"],
        3: ["channel"],
        4: ["lines"],
        5: ["target", "segment", "products"],
    }
    assert sorted(result.masked) == ["card"] + 14 * ["email"] + ["secret"] + 2 * ["token"]


def test_an_identify_keeps_its_contact_and_nothing_else() -> None:
    properties = json.dumps(IDENTIFY).encode()
    (one, two), _ = judged(event(kind="identify", properties=properties), event("e-2", properties=properties))
    assert json.loads(one.properties) == {
        "email": MAIL,
        "pushTarget": MAIL,
        "backup": "[email]",
        "more": {"email": "[email]"},
    }
    assert MAIL not in two.properties.decode()


def test_masks_keep_within_the_limits_of_what_they_are_in() -> None:
    many = b'{"x":1' + b',"pin":1' * 4_000 + b"}"
    target = "pin=1&" * 42
    (one,), result = judged(event(properties=many, target=target, page="/a?" + "pin=1&" * 340))
    assert len(many) <= 32 * 1024
    assert one.properties == b"{}"
    assert len(one.target) <= 256
    assert len(one.page) <= 2048
    assert not result.rejected


def test_ids_that_are_addresses_stay_and_are_counted() -> None:
    (one, two), result = judged(event(user_id=MAIL), event("e-2", "u-2", anonymous_id="+491711234567"))
    assert (one.user_id, two.anonymous_id) == (MAIL, "+491711234567")
    assert result.personal_ids == ["email", "phone"]
    assert not result.masked


def test_only_the_chosen_kinds_are_masked() -> None:
    text = f"{MAIL} 4111111111111111 /x?token=abc&orderCode=7"
    assert of(text, chosen("card", "")) == f"{MAIL} [card] /x?token=abc&orderCode=7"
    assert of(text, chosen("none", "")) == text
    assert of(text, chosen("none", "order_code")) == text.replace("=7", "=[secret]")
    assert of_json('{"Order-Code":{"a":1}}', chosen("none", " order_code ,x")) == '{"Order-Code":"[secret]"}'
    assert of_json('{"a":"x=1"}', chosen("none", "x")) == '{"a":"x=[secret]"}'
    for names in ("Straße,GEBURTSTAGÄX", "Straße,GEBURTSTAGÄX,ä"):
        named = chosen("all", names)
        for name in ("straße", "STRAßE", "Geburts-Tagäx"):
            for written in (json.dumps({name: "x"}), json.dumps({name: "x"}, ensure_ascii=False), f"a=1&{name}=x"):
                assert suspects([written.encode()], named) == [0]
                assert "[secret]" in (of_json if written[0] == "{" else of)(written, named)
    assert chosen(" all ", "") == ALL == chosen("", "")
    (one,), result = judged(event(page=f"/{MAIL}"), masking=chosen("none", ""))
    assert one.page == f"/{MAIL}"
    assert not result.notes


def test_an_unknown_kind_stops_the_start_with_a_sentence() -> None:
    with pytest.raises(SettingError, match="JOURNEYMESH_MASKING must be all, none, or some of email, phone"):
        bootstrap._masking(Settings(masking="mails"))


async def test_nothing_of_it_is_kept_anywhere() -> None:
    refused = event("e-2", "ada", kind="page_view", page="", target=MAIL, properties=f'{{"a":"{MAIL}"}}'.encode())
    item = ingest_pb2.UnreadableEvent(
        reason=error_reason_pb2.ERROR_REASON_INVALID_TYPE, payload=f'{{"eventType":7,"a":"{MAIL}"}}'.encode()
    )
    async with running() as harness:
        answer = await harness.accept(event(page=f"/u/{MAIL}"), refused, unreadable=[item])
        assert list(answer.verdicts) == [ACCEPTED, REJECTED]
        assert [(one.event_index, one.member) for one in answer.warnings] == [(0, "page")]
        listed = await harness.stub.ListFailedEvents(ingest_pb2.ListFailedEventsRequest())
        assert len(listed.failed_events) == 2
        assert all("[email]" in each.payload and MAIL not in each.payload for each in listed.failed_events)
        await harness.dispatch()
        assert [each.page for each in harness.events()] == ["/u/[email]"]
