"""The meaning of Segment messages by their names: ids, pages, and system events."""

import json
from typing import Any

import pytest
from journeymesh.common.v1 import event_pb2

from gateway.accepting.rows import Rows
from gateway.formats import native
from gateway.formats.native import EventSink
from gateway.formats.segment.reader import Reader
from tests.gateway.running import NOW_US, Gateway

STAMP = native.Stamp(NOW_US, bytes(range(16)), bytes(range(8)))


def read(message: dict[str, Any] | str, reader: Reader | None = None) -> event_pb2.Event:
    """The event a message becomes; nothing of it may be warned of."""
    rows = Rows()
    written = message if isinstance(message, str) else json.dumps(message)

    def warn(member: str, detail: str) -> None:
        pytest.fail(f"{member}: {detail}")

    (reader or Reader()).read(written.encode(), EventSink(rows.add, STAMP, lambda: "made", warn))
    return rows.table().event(0)


def track(event: str, **properties: Any) -> event_pb2.Event:
    return read({"type": "track", "userId": "ada", "event": event, "properties": properties})


def kind(event: event_pb2.Event) -> str:
    return event_pb2.EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()


NUMBERS = ["12345678901234567890001", "12345678901234567890002", "7", "-1", "1e3", "12.0", "1.50", "0.1E+2"]


@pytest.mark.parametrize("number", NUMBERS)
def test_an_id_that_is_a_number_keeps_every_digit(number: str) -> None:
    for member, attribute in (("userId", "user_id"), ("anonymousId", "anonymous_id"), ("messageId", "event_id")):
        user = "" if member == "userId" else '"userId":"ada",'
        event = read(f'{{{user}"type":"track","event":"e","{member}":{number}}}')
        assert getattr(event, attribute) == number
    alias = read(f'{{"type":"alias","userId":"ada","previousId":{number}}}')
    assert (alias.user_id, alias.anonymous_id) == ("ada", number)
    group = read(f'{{"type":"group","userId":"ada","groupId":{number}}}')
    assert json.loads(group.properties)["groupId"] == number
    paused = read(
        f'{{"type":"track","userId":"ada","event":"Video Playback Paused","properties":{{"asset_id":{number}}}}}'
    )
    assert paused.playback.video_id == number
    click = read(f'{{"type":"track","userId":"ada","event":"Product Clicked","properties":{{"product_id":{number}}}}}')
    assert click.target == number


@pytest.mark.parametrize(
    "text", [" ada ", "ada\u00a0l", "\u0645\u06cc\u200c\u062e", "e\u0301", "\u00e9", "A", "a\u200bb"]
)
def test_an_id_stays_as_it_is_letter_for_letter(text: str) -> None:
    event = read({"type": "track", "event": "e", "userId": text, "anonymousId": text, "messageId": text})
    assert (event.user_id, event.anonymous_id, event.event_id) == (text, text, text)


async def test_two_people_with_long_numbers_stay_two(gateway: Gateway) -> None:
    messages = ",".join(f'{{"type":"track","event":"e","userId":{number}}}' for number in NUMBERS[:2])
    answer = await gateway.post(f'{{"batch":[{messages}]}}'.encode(), "/v1/batch")
    assert answer.json()["accepted"] == 2
    assert [event.user_id for event in gateway.services.ingest.events] == NUMBERS[:2]


def test_the_first_id_that_is_not_empty_counts() -> None:
    event = read({"type": "track", "event": "e", "userId": "", "anonymousId": "anon", "messageId": ""})
    assert (event.user_id, event.anonymous_id, event.event_id) == ("anon", "anon", "made")
    assert read({"type": "page", "userId": "ada", "name": "", "properties": {"name": "Home"}}).page == "Home"
    assert track("Product Clicked", product_id="", promotion_id=None, name="Shoe").target == "Shoe"
    assert track("Video Playback Paused", asset_id="", content_asset_id="v").playback.video_id == "v"


COLLISIONS: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("Form Submitted", {"form": {"id": 1}}, "form_submit", {"target": ""}),
    ("Form Submitted", {"form": {"id": 1}, "field": "iban"}, "form_submit", {"target": "iban"}),
    ("Form Started", {"form": ["a"], "attempts": "first"}, "form_start", {"attempt_count": 0}),
    ("Error", {"target": {"href": "/x"}, "errorCode": {"id": 3}}, "error", {"target": "", "error_code": ""}),
    ("Error Shown", {"errorCode": 404}, "error", {"error_code": "404"}),
    ("Click", {"x": "left", "element": "save"}, "click", {"target": "save"}),
    ("Clicked", {"element": {"tag": "a"}, "y": None, "effectObserved": "yes"}, "click", {"target": ""}),
    ("Task Completed", {"task": 7}, "task_success", {"target": "7"}),
    ("Purchase", {"amount": "19.99", "currency": "EUR"}, "purchase", {}),
    ("Purchase", {"amount": {"value": 19.99}}, "feature_interaction", {"target": "Purchase"}),
    ("Purchase", {"amount": [1], "total": True}, "feature_interaction", {"target": "Purchase"}),
    ("Retry", {"isRefresh": "no", "attempts": 2.5}, "retry", {"is_refresh": False, "attempt_count": 0}),
    ("Page Viewed", {"page": "/home"}, "page_view", {"page": "/home"}),
    ("Page Viewed", {"page": "Home"}, "page_view", {"page": "Home"}),
    ("Page Viewed", {}, "feature_interaction", {"target": "Page Viewed"}),
    ("Page Viewed", {"page": 3}, "feature_interaction", {"target": "Page Viewed"}),
    ("Page Viewed", {"page": "3"}, "feature_interaction", {"target": "Page Viewed"}),
    ("Page Viewed", {"page": {"path": "/x"}}, "feature_interaction", {"target": "Page Viewed"}),
    ("page_view", {"page": 3, "url": "https://a.b/list?page=3"}, "page_view", {"page": "https://a.b/list?page=3"}),
    ("Video Playback", {"title": "x"}, "feature_interaction", {"target": "Video Playback"}),
    ("Video Playback", {"videoId": "v", "action": "rewind"}, "feature_interaction", {"target": "Video Playback"}),
    ("Video Playback", {"videoId": "v", "action": 3}, "feature_interaction", {"target": "Video Playback"}),
    ("video_playback", {"videoId": "v", "action": "pause", "positionSeconds": "9"}, "video_playback", {}),
    ("Intervention Outcome", {"outcome": "liked"}, "feature_interaction", {"target": "Intervention Outcome"}),
    ("Intervention Outcome", {"outcome": "withdrawn", "channel": "c"}, "feature_interaction", {}),
    ("Intervention Outcome", {"outcome": {"a": 1}}, "feature_interaction", {}),
    ("intervention_outcome", {"outcome": "shown", "channel": "email"}, "intervention_outcome", {}),
    ("Session Started", {"target": 1e3}, "session_start", {"target": "1000.0"}),
]


@pytest.mark.parametrize(("name", "properties", "expected", "members"), COLLISIONS)
def test_a_name_that_is_ours_by_chance_loses_nothing(
    name: str, properties: dict[str, Any], expected: str, members: dict[str, Any]
) -> None:
    event = track(name, **properties)
    assert kind(event) == expected
    for member, value in members.items():
        assert getattr(event, member) == value
    assert properties.items() <= json.loads(event.properties).items()
    assert json.loads(event.properties)["event"] == name


SYSTEM = [
    *("Push Notification Received", "push_notification_received", "pushNotificationBounced", "Push Notification Sent"),
    *("Push Notification Delivered", "Email Delivered", "email_bounced", "Email Sent", "Email Opened", "Email Dropped"),
    *("Email Marked as Spam", "Application Backgrounded"),
    *("Application Uninstalled", "Install Attributed", "SMS Delivered", "Live Chat Message Received"),
    *("Push Received", "Notification Received", "notification_receive", "notification_foreground", "$push_received"),
    *("Email Spam Reported", "Email Complained", "Delivered Email", "Opened Email", "Bounced Email", "Email Failed"),
    *("Email Soft Bounced", "Marked Email as Spam", "Push Delivered", "In-App Message Delivered", "SMS Failed"),
    *("WhatsApp Message Delivered", "Message Delivered", "Campaign Sent", "email.delivered", "Webhook Received"),
    *("App Backgrounded", "app_background", "app_remove", "os_update", "Application Entered Background"),
    *("Application Moved to Background", "Application Terminated", "App Closed"),
    # Time, and those who bill.
    *("Subscription Renewed", "subscription_auto_renewed", "subscriptionRenewed", "Annual Plan Renewed"),
    *("Trial Ended", "Trial Ending Soon", "Free Trial Expired", "customer.subscription.trial_will_end"),
    *("Invoice Generated", "Invoice Overdue", "Statement Issued", "Monthly Statement Generated", "Report Generated"),
    *("Plan Expired", "Membership Lapsed", "License Expired", "Contract Ended", "Points Expired", "Card Expiring"),
    *("Credit Card Expired", "Coupon Expired", "Payment Due", "Loan Payment Due", "Payment Overdue", "Reminder Sent"),
    *("Payment Reminder Sent", "Weekly Report Sent", "Nightly Job Completed", "Interest Accrued"),
]
USERS = [
    *("Push Notification Tapped", "Email Link Clicked", "Unsubscribed", "Deep Link Opened", "Application Opened"),
    *("Application Installed", "Application Updated"),
    *("Live Chat Message Sent", "Application Crashed", "Order Completed", "Signed Out", "Message Sent", "Push Opened"),
    *("Notification Dismissed", "Email Clicked", "Payment Failed", "Subscription Started", "Subscription Cancelled"),
    *("Trial Started", "Invoice Paid", "Invoice Viewed", "Report Viewed", "Report Downloaded", "Plan Upgraded"),
    *("Plan Selected", "Card Added", "Points Redeemed", "Coupon Applied", "Renew Clicked", "Logout Failed"),
]


@pytest.mark.parametrize("name", SYSTEM)
def test_system_events_are_not_steps_of_the_user(name: str) -> None:
    event = track(name, campaign={"name": "c"})
    assert (kind(event), event.is_system, event.target) == ("feature_interaction", True, name)


@pytest.mark.parametrize("name", USERS)
def test_what_the_user_did_is_the_users(name: str) -> None:
    assert not track(name, revenue=1).is_system


@pytest.mark.parametrize("active", [False, True, None, "false", 0])
def test_a_client_may_say_that_the_user_was_not_active(active: Any) -> None:
    for message in (
        {"type": "track", "event": "Subscription Started"},
        {"type": "track", "event": "Order Completed", "properties": {"revenue": 9}},
        {"type": "identify", "traits": {"plan": "pro"}},
    ):
        event = read({**message, "userId": "ada", "context": {"active": active}})
        assert event.is_system is (active is False)
    batch = Reader(context=None)
    assert not read({"type": "page", "userId": "ada", "name": "n"}, batch).is_system


async def test_the_same_flag_is_ours(gateway: Gateway) -> None:
    event = {"userId": "ada", "eventType": "page_view", "properties": {"page": "/"}}
    answers = [await gateway.track(event | {"context": {"active": active}}) for active in (False, True, "no", None)]
    assert [event.is_system for event in gateway.services.ingest.events] == [True, False, False, False]
    assert [len(answer.json()["warnings"]) for answer in answers] == [0, 0, 1, 0]
    batch = {"batch": [{"type": "page", "userId": "ada", "name": "n"}], "context": {"active": False}}
    assert (await gateway.client.post("/v1/batch", json=batch)).status_code == 200
    assert gateway.services.ingest.events[-1].is_system


URL = "https://shop.example/search?q=loan&page=2#top"
PAGES: list[tuple[dict[str, Any], str]] = [
    ({"url": URL, "path": "/search"}, URL),
    ({"url": URL, "path": "/search/"}, URL),
    ({"url": URL}, URL),
    ({"url": "https://app.example/#/home", "path": "/"}, "https://app.example/#/home"),
    ({"url": "https://app.example/#/home", "path": "/#/home"}, "/#/home"),
    ({"url": "https://app.example/", "path": "/#/home"}, "/#/home"),
    ({"url": "https://app.example", "path": "/"}, "https://app.example"),
    ({"url": "https://app.example/real", "path": "/virtual/step-2"}, "/virtual/step-2"),
    ({"url": "https://a.example/%D8%AE%D8%AF", "path": "/\u062e\u062f"}, "https://a.example/%D8%AE%D8%AF"),
    ({"path": "/search", "search": "?q=loan"}, "/search?q=loan"),
    ({"path": "/search", "search": "q=loan"}, "/search?q=loan"),
    ({"path": "/search", "search": "?q=loan", "hash": "#/a"}, "/search?q=loan#/a"),
    ({"path": "/", "hash": "/home"}, "/#/home"),
    ({"path": "/search?q=x", "search": "?q=x"}, "/search?q=x"),
    ({"path": "/search", "url": "", "search": ""}, "/search"),
    ({"path": "", "url": URL}, URL),
    ({"url": "/relative?x=1", "path": "/relative"}, "/relative?x=1"),
    ({"url": 7, "path": "/search", "search": {}}, "/search"),
    ({"page": 3, "path": "/list"}, "/list"),
    ({"page": "3", "url": URL}, URL),
    ({"page": "٣", "url": URL}, URL),
    ({"page": "/named", "url": URL}, "/named"),
    ({"page": "", "path": "/p"}, "/p"),
]


@pytest.mark.parametrize(("properties", "expected"), PAGES)
def test_a_page_is_named_by_its_fullest_address(properties: dict[str, Any], expected: str) -> None:
    assert read({"type": "page", "userId": "ada", "properties": properties}).page == expected
    if "page" not in properties:
        event = read({"type": "track", "userId": "ada", "event": "e", "context": {"page": properties}})
        assert event.page == expected


def test_a_page_has_the_name_it_is_given() -> None:
    for name in ("404", "3", "Home"):
        assert read({"type": "page", "userId": "ada", "name": name}).page == name
        assert read({"type": "screen", "userId": "ada", "name": name, "properties": {"path": "/p"}}).page == name


PLAYBACKS: list[tuple[dict[str, Any], tuple[float, float, float]]] = [
    ({"position": -0.021, "total_length": -1}, (0, 0, 0)),
    ({"position": 0, "total_length": -0.001}, (0, 0, 0)),
    ({"position": 12, "total_length": None}, (12, 0, 10)),
    ({"position": 917302, "total_length": 0, "livestream": True}, (917302, 0, 10)),
    ({"position": "12.5", "total_length": "60"}, (12.5, 60, 10)),
    ({"position": 9.984, "watchedSeconds": 10.0}, (9.984, 0, 9.984)),
    ({"position": 10, "watchedSeconds": -3}, (10, 0, 0)),
    ({"position": [], "total_length": {}}, (0, 0, 0)),
    ({}, (0, 0, 0)),
]


@pytest.mark.parametrize(("properties", "expected"), PLAYBACKS)
def test_impossible_player_values_are_unknown(properties: dict[str, Any], expected: tuple[float, float, float]) -> None:
    watched = track("Video Content Playing", asset_id="v", **properties).playback
    assert (watched.position_seconds, watched.duration_seconds, watched.watched_seconds) == expected


async def test_an_endless_length_is_unknown_too(gateway: Gateway) -> None:
    properties = b'{"asset_id":"v","total_length":Infinity,"position":7}'
    body = b'{"userId":"ada","event":"Video Content Playing","properties":' + properties + b"}"
    assert (await gateway.post(body, "/v1/track")).status_code == 200
    huge = body.replace(b"Infinity", b"1e999")
    assert (await gateway.post(huge, "/v1/track")).status_code == 200
    assert [event.playback.duration_seconds for event in gateway.services.ingest.events] == [0, 0]


def test_a_position_that_stands_is_not_watched() -> None:
    reader = Reader()

    def watched(name: str, position: float, at: int) -> float:
        message = {"type": "track", "userId": "ada", "event": name, "timestamp": f"2026-01-02T10:00:{at:02}Z"}
        properties = {"asset_id": "v", "session_id": "s", "position": position}
        return read({**message, "properties": properties}, reader).playback.watched_seconds

    assert watched("Video Content Playing", 10, 10) == 10
    assert watched("Video Playback Paused", 13, 13) == 3
    assert [watched("Video Content Playing", 13, at) for at in (23, 33, 43)] == [0, 0, 0]
    assert watched("Video Playback Resumed", 13, 50) == 0
    assert watched("Video Content Playing", 17, 54) == 4


OWN = {
    "session_end": (
        *("logout", "LOGOUT", "Log Out", "Logged Out", "logged_out", "Sign Out", "signOut", "Signed Out", "Signout"),
        *("User Signed Out", "user_logged_out", "userLoggedOut", "Logged out user", "Log Off", "Logout Succeeded"),
    ),
    "session_start": ("Session Start", "session_started", "Started Session"),
    "form_submit": ("Submitted Form", "Form Sent", "form.submitted", "Submitted a form"),
    "form_start": ("Started Form", "Form Opened"),
    "form_abandon": ("Abandoned Form", "Form Left"),
    "help_request": ("Requested Help", "Asked for Help", "Support Requested"),
    "error": ("Error Occurred", "Error Message Shown", "Saw Error"),
    "retry": ("Tried Again", "Retry Clicked"),
    "task_success": ("Completed Task", "Task Finished"),
    "task_failure": ("Failed Task",),
    "feature_interaction": (
        "Logged In",
        "Login",
        "Sign In",
        "User Returned",
        "Log Out Clicked",
        "Form Viewed",
        "view_item",
    ),
}


@pytest.mark.parametrize(("expected", "name"), [(kind, name) for kind, called in OWN.items() for name in called])
def test_a_kind_of_ours_is_known_by_what_people_call_it(expected: str, name: str) -> None:
    event = track(name)
    assert (kind(event), event.is_system) == (expected, False)


BOUGHT = (
    *("Checkout Completed", "checkout_completed", "Payment Completed", "Payment Succeeded", "Order Placed"),
    *("Placed Order", "Purchase Completed", "purchase", "Order Completed"),
)


@pytest.mark.parametrize("name", BOUGHT)
def test_an_order_that_is_done_is_a_purchase(name: str) -> None:
    event = track(name, value=5, currency="EUR")
    assert (kind(event), event.purchase.amount, event.purchase.currency) == ("purchase", 5, "EUR")


@pytest.mark.parametrize("name", BOUGHT[:7])
def test_without_an_amount_it_is_the_success_of_the_checkout(name: str) -> None:
    assert (kind(track(name)), track(name).target) == ("task_success", "checkout")
    assert track(name, task="top up").target == "top up"


def test_a_checkout_of_other_vocabularies_begins_and_goes_on() -> None:
    for name in ("begin_checkout", "checkout_started", "Checkout Started"):
        assert (kind(track(name)), track(name).target) == ("form_start", "checkout")
    for name in ("add_payment_info", "add_shipping_info"):
        assert (kind(track(name)), track(name).target) == ("task_success", "checkout step")


ORDERS = [
    ("Order Completed", {"order_id": "o-1"}, "Checkout Completed", {"orderId": "o-1"}, ["purchase", "task_success"]),
    ("purchase", {"transaction_id": 7}, "Order Placed", {"order_id": "7"}, ["purchase", "task_success"]),
    ("Order Placed", {"order_id": "o-1"}, "purchase", {"transaction_id": "o-1"}, ["purchase", "task_success"]),
    ("Order Completed", {"order_id": "o-1"}, "Order Completed", {"order_id": "o-2"}, ["purchase", "purchase"]),
    ("Order Completed", {}, "Order Completed", {}, ["purchase", "purchase"]),
    ("Order Completed", {"order_id": "o-1"}, "Order Refunded", {"order_id": "o-1"}, ["purchase", "purchase"]),
    ("Checkout Completed", {"order_id": ""}, "Order Completed", {"order_id": ""}, ["purchase", "purchase"]),
]


@pytest.mark.parametrize(("first", "order", "second", "again", "kinds"), ORDERS)
async def test_an_order_reported_twice_in_a_request_counts_once(
    gateway: Gateway, first: str, order: dict[str, Any], second: str, again: dict[str, Any], kinds: list[str]
) -> None:
    messages = [
        {"type": "track", "userId": user, "event": name, "properties": {**properties, "value": 5}}
        for user in ("ada", "grace")
        for name, properties in ((first, order), (second, again))
    ]
    answer = (await gateway.client.post("/v1/batch", json={"batch": messages})).json()
    assert [kind(event) for event in gateway.services.ingest.events] == kinds * 2
    assert [one["index"] for one in answer["warnings"]] == ([1, 3] if kinds[1] == "task_success" else [])
    assert json.loads(gateway.services.ingest.events[1].properties)["value"] == 5


def test_a_duplicate_of_an_order_is_read_the_same() -> None:
    reader = Reader()
    message: dict[str, Any] = {"type": "track", "userId": "ada", "messageId": "m", "event": "Order Completed"}
    message["properties"] = {"order_id": "o-1", "total": 5}
    assert read(message, reader) == read(message, reader)


@pytest.mark.parametrize(
    "feature", ["Subscription Renewed", "trial_ended", "invoice.generated", "Nightly Job Completed"]
)
async def test_our_own_events_of_a_backend_are_read_alike(gateway: Gateway, feature: str) -> None:
    event = {"userId": "ada", "eventType": "feature_interaction", "properties": {"feature": feature}}
    for platform in ("backend", "web", None):
        assert (await gateway.track(event | {"context": {"platform": platform}})).status_code == 202
    other = event | {"properties": {"feature": "Subscription Started"}, "context": {"platform": "backend"}}
    assert (await gateway.track(other)).status_code == 202
    assert [event.is_system for event in gateway.services.ingest.events] == [True, False, False, False]
