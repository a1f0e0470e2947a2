"""What a client may send as an event: the types the JSON is decoded into, and the words that stand in it.

Here are names and types only. `null` counts as absent, as in the proto3 JSON mapping.
"""

import datetime as dt
import functools
from typing import Annotated, Any, Final

import msgspec
from google.protobuf import descriptor
from journeymesh.common.v1 import event_pb2


@functools.cache
def words(enum: descriptor.EnumDescriptor) -> dict[int, str | None]:
    """The JSON name of each value of an enum: lower case without the prefix; the unspecified value has none."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    # The reasons of errors are the same in problems, in upper case.
    change = str.upper if enum.name == "ErrorReason" else str.lower
    return {value.number: change(value.name.removeprefix(prefix)) if value.number else None for value in enum.values}


def numbers(enum: descriptor.EnumDescriptor) -> dict[str, int]:
    """The values of an enum by their JSON names."""
    return {word: number for number, word in words(enum).items() if word}


EVENT_TYPES: Final = numbers(event_pb2.EventType.DESCRIPTOR)
PLATFORMS: Final = numbers(event_pb2.Platform.DESCRIPTOR)
ACTIONS: Final = numbers(event_pb2.PlaybackAction.DESCRIPTOR)
# What clients report. That help was taken back, the mesh says itself.
OUTCOMES: Final = {
    word: number
    for word, number in numbers(event_pb2.Outcome.DESCRIPTOR).items()
    if number != event_pb2.OUTCOME_WITHDRAWN
}
DEVICE_CLASSES: Final = numbers(event_pb2.DeviceClass.DESCRIPTOR)


def _word(known: dict[str, int], meaning: str) -> msgspec.Meta:
    return msgspec.Meta(description=meaning, extra_json_schema={"enum": [*known, None]})


def _said(meaning: str, **limits: float) -> msgspec.Meta:
    """What the contract tells of a member; its limits are told here and checked by ingest."""
    return msgspec.Meta(description=meaning, extra_json_schema=limits)


Time = Annotated[dt.datetime, msgspec.Meta(tz=True)]
Text = str | None


class Context(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True):
    """Where an event was made."""

    platform: Annotated[Text, _word(PLATFORMS, "Where it was made.")] = None
    device_id: Annotated[Text, _said("The device.", maxLength=128)] = None
    time_zone: Annotated[Text, _said("The user's time zone. Example: `Europe/Berlin`.")] = None
    user_agent: Annotated[Text, _said("The user agent of the user.", maxLength=512)] = None
    correlation_id: Annotated[Text, _said("The client's own correlation id.", maxLength=128)] = None
    automated: Annotated[bool | None, _said("No person made it, as in a browser under test.")] = None
    active: Annotated[bool | None, _said("False: a system did it, not the user, as a job or a delivery.")] = None


class ClientEvent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """One event as a client sends it."""

    event_type: Annotated[Text, _word(EVENT_TYPES, "What happened.")] = None
    event_id: Annotated[Text, _said("Unique for 24 hours. Made where absent.", maxLength=100)] = None
    user_id: Annotated[Text, _said("The user. May be absent where `anonymousId` is there.", maxLength=128)] = None
    anonymous_id: Annotated[Text, _said("The id before the user was known.", maxLength=128)] = None
    session_id: Annotated[Text, _said("The session as the client calls it.", maxLength=128)] = None
    timestamp: Annotated[Time | None, _said("When it happened, by the client's clock. Absent: when it came.")] = None
    sent_at: Annotated[Time | None, _said("When it was sent, by the client's clock.")] = None
    properties: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    context: Context | None = None


class MildEvent(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The same, its additions still to be read."""

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
    """Those additions that are texts."""

    session_id: Text = None


class Properties(msgspec.Struct, rename="camel"):
    """What is known in any event's `properties`. Other members are free and kept."""

    page: Annotated[Text, _said("The page or screen. Example: `/calculator`.")] = None
    target: Annotated[Text, _said("What on the page it is about; the first of this and the next six counts.")] = None
    feature: Text = None
    element: Text = None
    form: Text = None
    field: Text = None
    task: Text = None
    topic: Text = None
    attempts: Annotated[int | None, _said("Failed attempts, or the number of the try.", minimum=0, maximum=1000)] = None
    error_code: Annotated[Text, _said("Machine-readable kind of an error. Example: `validation`.")] = None
    is_refresh: Annotated[bool | None, _said("With `page_view`: the user loaded the page again.")] = None


class PageViewProperties(Properties, rename="camel"):
    """What is known in the `properties` of a `page_view`. What is no text among the address is not told."""

    url: Annotated[Any, _said("The page's address, where `page` does not tell it.")] = None
    path: Annotated[Any, _said("Its path, and with `search` and `hash` what stands behind.")] = None
    search: Any = None
    hash: Any = None
    name: Annotated[Any, _said("Its name, `category` and `title` tell views of one address apart.")] = None
    category: Any = None
    title: Any = None


class ClickProperties(Properties, rename="camel"):
    """What is known in the `properties` of a `click`."""

    x: Annotated[float | None, _said("Distance from the left edge of the page, in CSS pixels.")] = None
    y: Annotated[float | None, _said("Distance from the top edge of the page, in CSS pixels.")] = None
    effect_observed: Annotated[bool | None, _said("Whether the page changed. Absent where not watched.")] = None
    error_observed: Annotated[bool | None, _said("Whether an error arose because of the click.")] = None
    selection_changed: Annotated[bool | None, _said("Whether the click changed the selection of text.")] = None
    value_changed: Annotated[bool | None, _said("Whether the click changed the value of a control.")] = None
    role: Annotated[Text, _said("The element's ARIA role. Example: `spinbutton`.")] = None


class PlaybackProperties(Properties, rename="camel"):
    """What is known in the `properties` of a `video_playback`."""

    video_id: Annotated[Text, _said("The video's id.")] = None
    viewing_id: Annotated[Text, _said("One load of the player.")] = None
    action: Annotated[Text, _word(ACTIONS, "What the player did.")] = None
    position_seconds: Annotated[float | None, _said("Position in the video.")] = None
    watched_seconds: Annotated[float | None, _said("Media seconds played without a jump just before it.")] = None
    is_watched_guessed: Annotated[bool | None, _said("It is a guess; the beat before bounds it.")] = None
    duration_seconds: Annotated[float | None, _said("Length of the video.")] = None
    playback_rate: Annotated[float | None, _said("Media seconds a second.")] = None
    seek_from_seconds: Annotated[float | None, _said("With `seek`: where the jump began.")] = None
    content_type: Annotated[Text, _said("What kind of content it is. Example: `tutorial`.")] = None


class OutcomeProperties(Properties, rename="camel"):
    """What is known in the `properties` of an `intervention_outcome`."""

    intervention_id: Annotated[Text, _said("The intervention's id; absent for one of another system.")] = None
    outcome: Annotated[Text, _word(OUTCOMES, "What became of it.")] = None
    channel: Annotated[Text, _said("The channel it went by. Needed where there is no id.")] = None


class PurchaseProperties(Properties, rename="camel"):
    """What is known in the `properties` of a `purchase`."""

    amount: Annotated[float | None, _said("Price paid, or what was given back. Texts are read as well.")] = None
    currency: Annotated[Text, _said("ISO 4217 code. Example: `EUR`.")] = None
    is_refund: Annotated[bool | None, _said("Money went back: a refund, a return, a cancelled order.")] = None


PROPERTIES_OF: Final[dict[int, type[Properties]]] = {
    event_pb2.EVENT_TYPE_PAGE_VIEW: PageViewProperties,
    event_pb2.EVENT_TYPE_CLICK: ClickProperties,
    event_pb2.EVENT_TYPE_VIDEO_PLAYBACK: PlaybackProperties,
    event_pb2.EVENT_TYPE_INTERVENTION_OUTCOME: OutcomeProperties,
    event_pb2.EVENT_TYPE_PURCHASE: PurchaseProperties,
}
