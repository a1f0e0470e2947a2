"""An event as ingest sees it: by shape, so that the wire's own object can be judged without copying it."""

import hashlib
from collections.abc import Mapping, MutableSequence, Sequence
from enum import IntEnum
from typing import Any, Literal, NamedTuple, Protocol, Self

from records.tenants import plain


class Kind(IntEnum):
    """The kinds of events that ingest distinguishes; values as in `EventType`."""

    PAGE_VIEW = 1
    CLICK = 3
    VIDEO_PLAYBACK = 13
    PURCHASE = 14
    SESSION_END = 16
    INTERVENTION_OUTCOME = 17
    IDENTIFY = 18
    SEGMENT_CHANGE = 19


class Click(Protocol):
    """Where a click went, in CSS pixels; 0 where unknown. `ClearField` makes a member unknown."""

    x: float
    y: float
    role: str

    def ClearField(self, name: Literal["x", "y"]) -> None:  # noqa: N802 - as messages have it
        """Forgets a member."""


class Playback(Protocol):
    """A playback event."""

    video_id: str
    viewing_id: str
    action: int
    position_seconds: float
    watched_seconds: float
    duration_seconds: float
    playback_rate: float
    seek_from_seconds: float
    content_type: str
    topic: str


class InterventionOutcome(Protocol):
    """What the user did about an intervention."""

    intervention_id: str
    outcome: int
    channel: str


class OrderLine(Protocol):
    """One product of an order."""

    product_id: str
    name: str
    category: str
    quantity: int
    price: float


class Purchase(Protocol):
    """Something bought. `lines` are changed in place; an item can be deleted."""

    amount: float
    currency: str
    is_refund: bool
    order_id: str

    @property
    def lines(self) -> MutableSequence[OrderLine]:
        """What was bought."""


class RecommendedProduct(Protocol):
    """One product that is recommended to a customer."""

    product_id: str
    name: str
    reason: str


class SegmentChange(Protocol):
    """The segment of a customer from now on. `products` are changed in place; an item can be deleted."""

    segment: str
    previous_segment: str
    group: str
    previous_group: str

    @property
    def products(self) -> MutableSequence[RecommendedProduct]:
        """What is recommended to the customer."""


class Event(Protocol):
    """One thing a user did; see `journeymesh.common.v1.Event` for what each member means."""

    event_id: str
    user_id: str
    anonymous_id: str
    session_id: str
    event_type: int
    event_time_us: int
    sent_time_us: int
    page: str
    address: str
    target: str
    attempt_count: int
    error_code: str
    platform: int
    device_id: str
    time_zone: str
    correlation_id: str
    user_agent: str
    properties: bytes
    is_automated: bool
    is_system: bool
    received_time_us: int
    session_start_us: int
    device_class: int
    is_bot: bool
    trace_id: bytes
    span_id: bytes
    client_time_us: int
    bot_evidence: str
    linked_user_id: str
    copied_event_id: str
    is_own: bool

    def ClearField(self, name: Literal["carried"]) -> None:  # noqa: N802 - as messages have it
        """Forgets a member."""

    @property
    def click(self) -> Click:
        """With a click."""

    @property
    def playback(self) -> Playback:
        """With a video playback."""

    @property
    def outcome(self) -> InterventionOutcome:
        """With an intervention's outcome."""

    @property
    def purchase(self) -> Purchase:
        """With a purchase."""

    @property
    def segment_change(self) -> SegmentChange:
        """With a segment change."""


class Table(Protocol):
    """Events column by column, a row per event: see `records.table.Table`. A column is named as the member it holds."""

    columns: dict[str, list[Any]]
    """The columns that some event may set, each with a cell per row. An absent column is empty in every row."""
    carried: dict[int, Any]
    event_id: list[str]
    user_id: list[str]
    anonymous_id: list[str]
    event_type: list[int]
    event_time_us: list[int]
    received_time_us: list[int]
    sent_time_us: list[int]
    client_time_us: list[int]
    device_id: list[str]
    page: list[str]
    address: list[str]
    properties: list[bytes]
    platform: list[int]
    user_agent: list[str]
    is_automated: list[bool]
    trace_id: list[bytes]
    span_id: list[bytes]

    def __len__(self) -> int:
        """How many rows there are."""

    def has(self, name: str) -> bool:
        """Whether some event may set a column."""

    def details_of(self, name: str) -> Mapping[int, Any]:
        """The details of one kind, as `click`, by row."""

    def event(self, row: int) -> Any:  # noqa: ANN401 - an `Event`, as the wire has it
        """The event of a row, made anew."""

    def put(self, row: int, event: Any) -> None:  # noqa: ANN401 - as above
        """Writes an event into a row."""

    def take(self, rows: Sequence[int]) -> Self:
        """The rows, in the order given."""


class Naming(Protocol):
    """What an event says of whose it is."""

    @property
    def event_id(self) -> str:
        """See `Event`; likewise all others."""

    @property
    def user_id(self) -> str:
        """The user."""

    @property
    def anonymous_id(self) -> str:
        """The device."""

    @property
    def event_type(self) -> int:
        """The kind."""

    @property
    def event_time_us(self) -> int:
        """When it happened."""


class Named(NamedTuple):
    """A `Naming` of its own."""

    event_id: str
    user_id: str
    anonymous_id: str
    event_type: int
    event_time_us: int


class EventPosition(NamedTuple):
    """The position of an event on the stream."""

    shard: str
    sequence: int
    event_index: int


class Seen(NamedTuple):
    """What is remembered of an accepted event, for 24 to 48 hours: enough to know duplicates and to give a receipt."""

    position: EventPosition
    received_time_us: int
    trace_id: bytes


class FailedEvent(NamedTuple):
    """Something that was sent as an event and could not be accepted or applied.

    `stage` is `gateway`, `ingest` or `dispatcher`. Only those of the dispatcher have a position: they were accepted and
    could not be applied. Their `record` is the whole event as it was on the stream; empty if an older version kept it.
    """

    id: str
    reason: str
    detail: str
    failed_time_us: int
    event_id: str
    user_id: str
    payload: bytes
    trace_id: bytes
    stage: str
    position: EventPosition | None = None
    record: bytes = b""


def failed_event_id(event_id: str, payload: bytes) -> str:
    """The failed event id of an event that was accepted; made of its payload if it has no id.

    The same for the same event, so that the list holds it once, and apart from duplicates of it that were refused.
    """
    return _failed_id(b"set aside", event_id, payload)


def refused_event_id(event_id: str, payload: bytes) -> str:
    """The failed event id of an event that was refused: sending it again does not fill the list."""
    return _failed_id(b"refused", event_id, payload)


def _failed_id(fate: bytes, event_id: str, payload: bytes) -> str:
    # Without an id of its own, an event of a tenant has one that says nothing but the tenant.
    content, salt = (event_id.encode(), b"id") if plain(event_id) else (event_id.encode() + payload, b"payload")
    return "f-" + hashlib.blake2b(content, digest_size=12, person=fate, salt=salt).hexdigest()
