"""Our own event format: the types that its JSON is decoded into, and the words it may contain.

Here are names and types only. `null` counts as absent, as in the proto3 JSON mapping.
"""

import datetime as dt
import functools
from typing import Annotated, Any, Final

import msgspec
from google.protobuf import descriptor
from journeymesh.common.v1 import event_pb2


@functools.cache
def enum_names(enum: descriptor.EnumDescriptor) -> dict[int, str | None]:
    """The JSON name of each value of an enum: lower case, without prefix; the unspecified value has none."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    # Reasons are upper case, as in problems.
    change = str.upper if enum.name == "ErrorReason" else str.lower
    return {value.number: change(value.name.removeprefix(prefix)) if value.number else None for value in enum.values}


def enum_numbers(enum: descriptor.EnumDescriptor) -> dict[str, int]:
    """The values of an enum by JSON name."""
    return {word: number for number, word in enum_names(enum).items() if word}


EVENT_TYPES: Final = enum_numbers(event_pb2.EventType.DESCRIPTOR)
PLATFORMS: Final = enum_numbers(event_pb2.Platform.DESCRIPTOR)
ACTIONS: Final = enum_numbers(event_pb2.PlaybackAction.DESCRIPTOR)
# What clients report; only the mesh itself withdraws help.
OUTCOMES: Final = {
    word: number
    for word, number in enum_numbers(event_pb2.Outcome.DESCRIPTOR).items()
    if number != event_pb2.OUTCOME_WITHDRAWN
}
DEVICE_CLASSES: Final = enum_numbers(event_pb2.DeviceClass.DESCRIPTOR)


def _word(known: dict[str, int], meaning: str) -> msgspec.Meta:
    return msgspec.Meta(description=meaning, extra_json_schema={"enum": [*known, None]})


def _about(meaning: str, **limits: float) -> msgspec.Meta:
    """Documents a member; ingest checks the limits."""
    return msgspec.Meta(description=meaning, extra_json_schema=limits)


Time = Annotated[dt.datetime, msgspec.Meta(tz=True)]
Text = str | None


class Context(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True):
    """Where an event was made."""

    platform: Annotated[Text, _word(PLATFORMS, "Where it was made.")] = None
    device_id: Annotated[Text, _about("The device.", maxLength=128)] = None
    time_zone: Annotated[Text, _about("The user's time zone. Example: `Europe/Berlin`.")] = None
    user_agent: Annotated[Text, _about("The user agent of the user.", maxLength=512)] = None
    correlation_id: Annotated[Text, _about("The client's own correlation id.", maxLength=128)] = None
    automated: Annotated[bool | None, _about("No person made it, as in a browser under test.")] = None
    active: Annotated[bool | None, _about("False: a system did it, such as a job or a delivery, not the user.")] = None


class ClientEvent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One event as a client sends it."""

    event_type: Annotated[Text, _word(EVENT_TYPES, "What happened.")] = None
    event_id: Annotated[Text, _about("Unique for 24 hours. Generated if absent.", maxLength=100)] = None
    user_id: Annotated[Text, _about("The user. May be absent if there is an `anonymousId`.", maxLength=128)] = None
    anonymous_id: Annotated[Text, _about("The id before the user was known.", maxLength=128)] = None
    session_id: Annotated[Text, _about("The session as the client calls it.", maxLength=128)] = None
    timestamp: Annotated[
        Time | None, _about("When it happened, by the client's clock. Absent: when it was received.")
    ] = None
    sent_at: Annotated[Time | None, _about("When it was sent, by the client's clock.")] = None
    properties: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    context: Context | None = None


class LenientEvent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The same, with its optional members yet to be read."""

    event_type: Text = None
    event_id: Text = None
    user_id: Text = None
    anonymous_id: Text = None
    timestamp: Any = None
    properties: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    session_id: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    sent_at: Any = None
    context: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class Rest(msgspec.Struct, rename="camel"):
    """The optional members that are texts."""

    session_id: Text = None


class Properties(msgspec.Struct, rename="camel"):
    """What is known in any event's `properties`. Other members are free and kept."""

    page: Annotated[Text, _about("The page or screen. Example: `/calculator`.")] = None
    target: Annotated[Text, _about("What on the page it is about; the first of this and the next six counts.")] = None
    feature: Text = None
    element: Text = None
    form: Text = None
    field: Text = None
    task: Text = None
    topic: Text = None
    attempts: Annotated[int | None, _about("Failed attempts, or the number of the try.", minimum=0, maximum=1000)] = (
        None
    )
    error_code: Annotated[Text, _about("Machine-readable kind of an error. Example: `validation`.")] = None
    is_refresh: Annotated[bool | None, _about("With `page_view`: the user loaded the page again.")] = None


class PageViewProperties(Properties, rename="camel"):
    """What is known in the `properties` of a `page_view`. Parts of the address that are no text are ignored."""

    url: Annotated[Any, _about("The page's address, if `page` is not it.")] = None
    path: Annotated[Any, _about("Its path; `search` and `hash` are what follows.")] = None
    search: Any = None
    hash: Any = None
    name: Annotated[Any, _about("Its name; with `category` and `title` it distinguishes views of one address.")] = None
    category: Any = None
    title: Any = None


class ClickProperties(Properties, rename="camel"):
    """What is known in the `properties` of a `click`."""

    x: Annotated[float | None, _about("Distance from the left edge of the page, in CSS pixels.")] = None
    y: Annotated[float | None, _about("Distance from the top edge of the page, in CSS pixels.")] = None
    effect_observed: Annotated[bool | None, _about("Whether the page changed. Absent if not observed.")] = None
    error_observed: Annotated[bool | None, _about("Whether an error arose because of the click.")] = None
    selection_changed: Annotated[bool | None, _about("Whether the click changed the selection of text.")] = None
    value_changed: Annotated[bool | None, _about("Whether the click changed the value of a control.")] = None
    role: Annotated[Text, _about("The element's ARIA role. Example: `spinbutton`.")] = None


class PlaybackProperties(Properties, rename="camel"):
    """What is known in the `properties` of a `video_playback`."""

    video_id: Annotated[Text, _about("The video's id.")] = None
    viewing_id: Annotated[Text, _about("One load of the player.")] = None
    action: Annotated[Text, _word(ACTIONS, "What the player did.")] = None
    position_seconds: Annotated[float | None, _about("Position in the video.")] = None
    watched_seconds: Annotated[float | None, _about("Media seconds played without a jump just before it.")] = None
    is_watched_guessed: Annotated[bool | None, _about("It is a guess, which the previous playback event limits.")] = (
        None
    )
    duration_seconds: Annotated[float | None, _about("Length of the video.")] = None
    playback_rate: Annotated[float | None, _about("Media seconds per second.")] = None
    seek_from_seconds: Annotated[float | None, _about("With `seek`: where the jump began.")] = None
    content_type: Annotated[Text, _about("What kind of content it is. Example: `tutorial`.")] = None


class OutcomeProperties(Properties, rename="camel"):
    """What is known in the `properties` of an `intervention_outcome`."""

    intervention_id: Annotated[Text, _about("The intervention's id; absent for one of another system.")] = None
    outcome: Annotated[Text, _word(OUTCOMES, "What became of it.")] = None
    channel: Annotated[Text, _about("The channel it went by. Required without an id.")] = None


LINES_MOST: Final = 100
"""Lines of one order; more are left out."""
QUANTITY_MOST: Final = 1_000_000
"""Pieces of one line."""
_LINES: Final = msgspec.Meta(
    description="What was bought, or given back; also called `products` or `items` (docs/clients.md).",
    extra_json_schema={
        "type": ["array", "null"],
        "maxItems": LINES_MOST,
        "items": {
            "type": "object",
            "required": ["productId"],
            "properties": {
                "productId": {"type": "string", "maxLength": 128},
                "name": {"type": "string", "maxLength": 256},
                "category": {"type": "string", "maxLength": 128},
                "quantity": {"type": "integer", "minimum": 1, "maximum": QUANTITY_MOST, "default": 1},
                "price": {"type": "number", "minimum": 0, "description": "Per piece, in `currency`."},
            },
        },
    },
)


class PurchaseProperties(Properties, rename="camel"):
    """What is known in the `properties` of a `purchase`."""

    amount: Annotated[float | None, _about("Price paid, or what was given back. Texts are read as well.")] = None
    currency: Annotated[Text, _about("ISO 4217 code. Example: `EUR`.")] = None
    is_refund: Annotated[bool | None, _about("Money went back: a refund, a return, a cancelled order.")] = None
    order_id: Annotated[Any, _about("The shop's id of the order; of a refund that of the order refunded.")] = None
    lines: Annotated[Any, _LINES] = None


RECOMMENDED_MOST: Final = 5
"""Products that are recommended to one customer; more are left out."""
_RECOMMENDED: Final = msgspec.Meta(
    description="What is recommended to the customer from now on, best first. Absent: nothing.",
    extra_json_schema={
        "type": ["array", "null"],
        "maxItems": RECOMMENDED_MOST,
        "items": {
            "type": "object",
            "required": ["productId"],
            "properties": {
                "productId": {"type": "string", "maxLength": 128},
                "name": {"type": "string", "maxLength": 256},
                "reason": {"type": "string", "maxLength": 64, "description": "Example: `due_again`."},
            },
        },
    },
)


class SegmentChangeProperties(Properties, rename="camel"):
    """What is known in the `properties` of a `segment_change`. It says everything anew."""

    segment: Annotated[Text, _about("The customer's segment from now on. Absent: none.", maxLength=64)] = None
    previous_segment: Annotated[Text, _about("The segment before. Required without `segment`.", maxLength=64)] = None
    group: Annotated[Text, _about("The group of customers who are alike, if there are groups.", maxLength=64)] = None
    previous_group: Annotated[Text, _about("The group before.", maxLength=64)] = None
    products: Annotated[Any, _RECOMMENDED] = None


PROPERTIES_OF: Final[dict[int, type[Properties]]] = {
    event_pb2.EVENT_TYPE_PAGE_VIEW: PageViewProperties,
    event_pb2.EVENT_TYPE_CLICK: ClickProperties,
    event_pb2.EVENT_TYPE_VIDEO_PLAYBACK: PlaybackProperties,
    event_pb2.EVENT_TYPE_INTERVENTION_OUTCOME: OutcomeProperties,
    event_pb2.EVENT_TYPE_PURCHASE: PurchaseProperties,
    event_pb2.EVENT_TYPE_SEGMENT_CHANGE: SegmentChangeProperties,
}
