"""What is cleaned or left out of an event before it is judged; the event is taken all the same."""

import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.common.v1 import event_pb2

from services.ingest.accept.domain.placeholder import PHRASES, WORDS, plain
from services.ingest.accept.domain.text import cleaned, is_clean, is_identifier
from services.ingest.accept.domain.tidying import DEFAULT_RULES, Rules, tidy
from services.ingest.accept.domain.validation import reject
from services.ingest.events.domain.event import Event
from tests.builders import NOW_US, event

PLAY: dict[str, Any] = {"video_id": "v", "action": event_pb2.PLAYBACK_ACTION_HEARTBEAT}
LINE: dict[str, Any] = {"product_id": "p", "quantity": 2, "price": 1.5}
BAD_LINES: list[dict[str, Any]] = [
    {"product_id": ""}, {"quantity": 0}, {"quantity": 1_000_001}, {"price": -1.0}, {"price": float("nan")},
    {"price": 1e13},
]  # fmt: skip
PRODUCT: dict[str, Any] = {"product_id": "p", "name": "Beans", "reason": "due_again"}
ZERO_UUID = "00000000-0000-0000-0000-000000000000"


def playback(**members: Any) -> event_pb2.Event:
    return event(kind="video_playback", playback=event_pb2.Playback(**(PLAY | members)))


def bought(**members: Any) -> event_pb2.Event:
    return event(kind="purchase", purchase=event_pb2.Purchase(**members))


def segmented(target: str = "", *, is_system: bool = False, **members: Any) -> event_pb2.Event:
    change = event_pb2.SegmentChange(**members)
    return event(kind="segment_change", target=target, is_system=is_system, segment_change=change)


def clicked(**members: Any) -> event_pb2.Event:
    return event(kind="click", click=event_pb2.Click(**members))


def tidied(one: event_pb2.Event, rules: Rules = DEFAULT_RULES) -> tuple[event_pb2.Event, list[str]]:
    made = event_pb2.Event()
    made.CopyFrom(one)
    notes = tidy(cast("Event", made), rules)
    return made, [note.member for note in notes]


INFINITY, NAN = float("inf"), float("nan")

CLEANED = {
    "line break in a label": (event(target="Add\n  to cart"), event(target="Add to cart"), ["target"]),
    "no-break space in a label": (event(target="Add\u00a0to cart"), event(target="Add to cart"), ["target"]),
    "soft hyphen in a label": (event(target="Donau\u00addampf"), event(target="Donaudampf"), ["target"]),
    "zero-width space and byte order mark": (event(target="\ufeffa\u200bb"), event(target="ab"), ["target"]),
    "direction override in a label": (event(target="a\u202eb"), event(target="ab"), ["target"]),
    "long label": (event(target="x" * 300), event(target="x" * 256), ["target"]),
    "long page": (event(page="/" + "p" * 3000), event(page="/" + "p" * 2047), ["page"]),
    "control character in an error code": (event(error_code="a\x00b"), event(error_code="a b"), ["errorCode"]),
    "composed by the way": (event(target="Cafe\u0301"), event(target="Caf\u00e9"), []),
    "joiner in a word": (event(target="\u0645\u06cc\u200c\u062e"), event(target="\u0645\u06cc\u200c\u062e"), []),
    "a family": (event(target="\U0001f468\u200d\U0001f469"), event(target="\U0001f468\u200d\U0001f469"), []),
    "a glyph of an icon font": (event(target="\ue5cd"), event(target="\ue5cd"), []),
    "unknown time zone": (event(time_zone="Mars/Olympus"), event(), ["context.timeZone"]),
    "time zone that is a path": (event(time_zone="../../etc/passwd"), event(), ["context.timeZone"]),
    "session with a line break": (event(session_id="s\n1"), event(), ["sessionId"]),
    "long device": (event(device_id="d" * 200), event(), ["context.deviceId"]),
    "device of nobody": (event(device_id=ZERO_UUID), event(), ["context.deviceId"]),
    "unknown platform": (event(platform=cast("Any", 77)), event(), ["context.platform"]),
    "user agent with a line break": (event(user_agent="a\r\nb"), event(user_agent="a b"), ["context.userAgent"]),
    "sent before there were clocks": (event(sent_time_us=-(2**63)), event(), ["sentAt"]),
    "many attempts": (event(attempt_count=5000), event(attempt_count=1000), ["attempts"]),
    "click nowhere": (clicked(x=NAN, y=3, role="button"), clicked(role="button"), ["x"]),
    "click far away": (clicked(x=1, y=-2e6), clicked(), ["x"]),
    "role with a line break": (clicked(role="but\nton"), clicked(role="but ton"), ["role"]),
    "long role": (clicked(role="r" * 300), clicked(role="r" * 64), ["role"]),
    "role with a zero-width space": (clicked(role="but\u200bton"), clicked(role="button"), ["role"]),
    "address with a line break": (event(address="/a\n?b"), event(address="/a ?b"), ["address"]),
    "live stream without a length": (playback(duration_seconds=-0.001), playback(), ["durationSeconds"]),
    "longer than a video can be": (playback(duration_seconds=86_400.5), playback(), ["durationSeconds"]),
    "as long as a video can be": (playback(duration_seconds=86_400.0), playback(duration_seconds=86_400.0), []),
    "watched for more than a day in one beat": (
        playback(watched_seconds=86_401.0, position_seconds=1e6),
        playback(position_seconds=1e6),
        ["watchedSeconds"],
    ),
    "endless video": (playback(duration_seconds=INFINITY), playback(), ["durationSeconds"]),
    "a hair before the beginning": (playback(position_seconds=-0.021), playback(), ["positionSeconds"]),
    "no number": (playback(position_seconds=NAN), playback(), ["positionSeconds"]),
    "days into a live stream": (playback(position_seconds=917_302), playback(position_seconds=917_302), []),
    "a hair more watched than there is": (
        playback(position_seconds=9.984, watched_seconds=10),
        playback(position_seconds=9.984, watched_seconds=9.984),
        ["watchedSeconds"],
    ),
    "too fast": (playback(playback_rate=17), playback(), ["playbackRate"]),
    "kind of content with a tab": (playback(content_type="a\tb"), playback(content_type="a b"), ["contentType"]),
    "currency in lower case": (bought(amount=3, currency="eur"), bought(amount=3, currency="EUR"), []),
    "no currency": (bought(amount=3, currency="EURO"), bought(amount=3), ["currency"]),
    "control characters for a currency": (bought(amount=3, currency="E\x00R"), bought(amount=3), ["currency"]),
    "a return": (bought(amount=-3), bought(amount=-3, is_refund=True), []),
    "a refund as it is sent": (bought(amount=3, is_refund=True), bought(amount=-3, is_refund=True), []),
    "an order's id with a line break": (bought(order_id="o\n1"), bought(), ["orderId"]),
    "a line's texts": (
        bought(lines=[LINE | {"name": " Beans\n", "category": "x" * 200}]),
        bought(lines=[LINE | {"name": "Beans", "category": "x" * 128}]),
        ["lines"],
    ),
    "lines that are none": (
        bought(lines=[LINE, *(LINE | bad for bad in BAD_LINES), LINE]),
        bought(lines=[LINE, LINE]),
        ["lines"],
    ),
    "more lines than there may be": (bought(lines=[LINE] * 101), bought(lines=[LINE] * 100), ["lines"]),
    "a segment, which a system says": (
        segmented(segment="Loyal", products=[PRODUCT]),
        segmented(is_system=True, target="Loyal", segment="Loyal", products=[PRODUCT]),
        [],
    ),
    "a segment's texts": (
        segmented(target="the shop", segment="Loyal\n", previous_segment="x" * 65, products=[{"product_id": "p\n"}]),
        segmented(
            is_system=True,
            target="the shop",
            segment="Loyal",
            previous_segment="x" * 64,
            products=[{"product_id": "p"}],
        ),
        ["segment", "previousSegment", "products"],
    ),
    "products that are none, and more than there may be": (
        segmented(segment="Loyal", products=[{"name": "Beans"}, *[PRODUCT] * 6]),
        segmented(is_system=True, target="Loyal", segment="Loyal", products=[PRODUCT] * 5),
        ["products", "products"],
    ),
    "nobody before a login": (
        event(user_id="undefined", anonymous_id="a-1"),
        event(user_id="a-1", anonymous_id="a-1"),
        ["userId"],
    ),
    "anonymous by nobody's id": (event(anonymous_id="null"), event(), ["anonymousId"]),
    "anonymous with a line break": (event(anonymous_id="a\n1"), event(), ["anonymousId"]),
}


@pytest.mark.parametrize(("raw", "clean", "members"), CLEANED.values(), ids=CLEANED)
def test_an_addition_is_cleaned_or_left_out_and_never_costs_the_event(
    raw: event_pb2.Event, clean: event_pb2.Event, members: list[str]
) -> None:
    made, noted = tidied(raw)
    assert made == clean
    assert noted == members
    assert reject(cast("Event", made), NOW_US) is None


def members(of: Any) -> Iterator[str]:
    """The members of a message that hold text."""
    for field in of.DESCRIPTOR.fields:
        if field.type == field.TYPE_STRING and not field.is_repeated:
            yield field.name


def outcome() -> event_pb2.Event:
    raw = event_pb2.InterventionOutcome(channel="chat", outcome=event_pb2.OUTCOME_SHOWN)
    return event(kind="intervention_outcome", outcome=raw)


WHOLE: dict[str, Callable[[], event_pb2.Event]] = {
    "": event,
    "click": clicked,
    "playback": playback,
    "purchase": bought,
    "outcome": outcome,
}


def part(one: event_pb2.Event, kind: str) -> Any:
    return getattr(one, kind) if kind else one


TEXTS = [(kind, member) for kind, make in WHOLE.items() for member in members(part(make(), kind))]


@pytest.mark.parametrize("odd", ["a\nb", "a\u200bb", "r" * 5000, " a", "\x00"])
@pytest.mark.parametrize(("kind", "member"), TEXTS)
def test_whatever_text_is_changed_a_warning_says_so(kind: str, member: str, odd: str) -> None:
    raw = WHOLE[kind]()
    setattr(part(raw, kind), member, odd)
    made, notes = tidied(raw)
    assert (made != raw) == bool(notes)


@pytest.mark.parametrize("raw", [each[0] for each in CLEANED.values()], ids=CLEANED)
def test_what_is_tidy_stays_as_it_is(raw: event_pb2.Event) -> None:
    once, _ = tidied(raw)
    again, notes = tidied(once)
    assert again == once
    assert not notes


def test_ids_stay_as_they_were_sent_to_the_byte() -> None:
    raw = event(event_id="e\u0301\u200c", user_id="Jose\u0301\u00a0", anonymous_id="\ufb01 1")
    made, notes = tidied(raw)
    assert made == raw
    assert not notes


@pytest.mark.parametrize(
    "nobody",
    [
        "undefined", " UNDEFINED ", "null", "NaN", "None", "[object Object]", "0", "-1", "guest", "Anonymous", "(null)",
        ZERO_UUID, "ffffffff-ffff-ffff-ffff-ffffffffffff", "", "   ", "''", '"null"', "{{user.id}}", "${userId}",
        "<%= id %>", "%USER_ID%", "%ADDRESS%", "-", "00000000000000000000000000000000", "0" * 70, "-" * 128,
        "\u200bundefined", "\ufeffnull", "null\u200b", "unde\u00adfined", "un\u2060known\u200d", "[object  Object]",
        "[object\u00a0Object]", "not \u200b set", " 'null' ", "`NaN`", "\u201cundefined\u201d", '\\"null\\"', "(none)",
        "<none>", "[undefined]", "{user_id}", "[object%20Object]", "%22undefined%22", "undefined%20", "null%00",
        "%7B%7Buser.id%7D%7D",
        # Objects, functions and values that languages and files print where there is none.
        "[object Promise]", "[object Window]", "[object Function]", "[object Null]", "[OBJECT  MAP]", "function () { }",
        "function (t){return t}", "<nil>", "<null>", "Infinity", "-Infinity", "-inf", "undef", "void 0",
        "Optional(null)", "Optional(nil)", "Optional(Optional(nil))", "Some(None)", 'Optional("undefined")', "\\N",
        '"\\N"', "#N/A", "N/A", "n.a.", "#REF!", "#NULL!", "\\u0000", "\\x00\\x00", "0x0", "0.0",
        # Several of them, joined.
        "undefined_undefined", "null-null", "None None", "undefined|undefined", "null,undefined", "nan.nan",
        "null@null",
        "undefined:0", "guest-guest", "false_false", "nil nil nil", "0_null",
        # Who is not logged in, however it is written.
        "NOT_LOGGED_IN", "not logged in", "not-logged-in", "notLoggedIn", "logged_out", "guest_user", "guestUser",
        "Guest User", "anonymous_user", "anonymous-user", "AnonymousUser", "anon", "anon_user", "unknown-user",
        "no_user",
        "nobody", "not.available",
        # Zeros, wide letters.
        "\uff10", "\u0660", "\u0660\u0660", "\u06f0", "\u0966", "\uff0d\uff11", "\uff4e\uff55\uff4c\uff4c",
        # Templates.
        "<user_id>", "<USER ID>", "<customer-id>", "{{userId}}", "{{ user_id }}", "#{user.id}", "$(userId)",
        "[[userId]]", "%user_id%", "%%USER%%", "{customer.key}", "$userId", ":user_id", "@@USER_ID@@",
        "__USER_ID__", "YOUR_USER_ID", "%s", "%d", "{0}", "{}", "[]", "${id", "%3Cuser_id%3E",
    ],
)  # fmt: skip
def test_nobody_is_linked_to_anybody(nobody: str) -> None:
    identified = event(kind="identify", user_id=nobody, anonymous_id="a-1")
    made, _ = tidied(identified)
    rejection = reject(cast("Event", made), NOW_US)
    assert rejection is not None
    assert rejection.reason == ("PLACEHOLDER_ID" if nobody else "MISSING_FIELD")


@pytest.mark.parametrize(
    "somebody",
    [
        "1", "u-0", "10", "null-island", "guest42", "O'Brien", "أحمد", "0x1", "e5f6", "0" * 70 + "1",
        "ada%40example.com", "100%", "\u200bada", "undefined\u200b1", "(ada)", "object",
        "guest_house_7", "guest house", "nilsson", "nan@x.org", "nan smith", "None-Smith", "nullable", "true-love@x.de",
        "anonymous-7f3a21", "anonymous-fox", "guest_8812", "user-0", "admin", "test", "n", "na", "an-on", "i-d",
        "infinite",
        "optional", "Optional(ada)", 'Optional("u-1")', "functional", "function-lead", "object-0", "<ada@x.org>",
        "<7f3a>", "{7f3a21}", "$ada", ":ada", "\u0661", "\u0661\u0660", "not logged", "in", "logged-in", "known-user",
        "noel", "guestuser2", "undefined-7f3a", "null_null_ada", "0xdeadbeef", "#42", "#ada", "\\u0041", "u0000",
        "50% off", "d%s",
    ],
)  # fmt: skip
def test_an_id_that_only_looks_like_nobody_s_is_somebody_s(somebody: str) -> None:
    assert reject(cast("Event", event(user_id=somebody)), NOW_US) is None


@pytest.mark.parametrize("sent", ["\u200bJose\u0301", " 'ada' ", "[person%20Ada]", "ADA\u00a0"])
def test_an_id_is_looked_at_as_plain_and_kept_to_the_byte(sent: str) -> None:
    raw = event(user_id=sent, anonymous_id=f"{sent}2", device_id=f"{sent}3")
    made, notes = tidied(raw)
    assert made == raw
    assert not notes
    assert reject(cast("Event", made), NOW_US) is None


def test_a_setting_adds_ids_that_stand_for_nobody() -> None:
    rules = Rules(placeholders=frozenset({plain("Demo-Kiosk")}))
    assert tidied(event(user_id="Demo-Kiosk", anonymous_id="a-1"), rules)[0].user_id == "a-1"
    for sent in ("DEMO-KIOSK", "\u200bdemo-kiosk", '"demo-kiosk"'):
        rejection = reject(cast("Event", event(user_id=sent)), NOW_US, rules.placeholders)
        assert rejection is not None
        assert rejection.reason == "PLACEHOLDER_ID"


@given(st.text(max_size=400))
def test_a_cleaned_text_is_composed_shown_on_one_line_and_stays(text: str) -> None:
    raw = cleaned(text, 256).text
    assert cleaned(raw, 256) == (raw, False)
    assert raw == unicodedata.normalize("NFC", raw)
    assert len(raw) <= 256
    assert not {unicodedata.category(letter) for letter in raw} & {"Cc", "Zl", "Zp"}
    assert "  " not in raw
    assert raw == raw.strip()


@given(st.text(alphabet=st.characters(max_codepoint=0x7E, min_codepoint=0x20), max_size=300))
def test_a_glance_never_takes_for_clean_what_is_not(text: str) -> None:
    if is_clean(text, 256):
        assert cleaned(text, 256).text in (text, " ".join(text.split()))


@given(st.text(min_size=1, max_size=140))
def test_an_id_may_hold_whatever_is_no_control_character(text: str) -> None:
    unfit = {unicodedata.category(letter) for letter in text} & {"Cc", "Zl", "Zp", "Cs"}
    assert is_identifier(text, 128) == (len(text) <= 128 and not unfit)


def test_the_document_names_every_id_that_stands_for_nobody() -> None:
    raw = Path("docs/text.md").read_text(encoding="utf-8")
    assert not [each for each in (*WORDS, *PHRASES) if f"`{each}`" not in raw]
