"""What is kept of one user between events: small, and bounded whatever the user does.

It is stored as a MessagePack array. New fields go to the end with a default, so that older states stay readable;
a field never changes its meaning under the same feature schema version.
"""

import msgspec

from services.features.domain.history import History
from services.features.domain.own import Number, Word

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
DAY_US = 86_400 * SECOND_US
SESSION_GAP_US = 30 * MINUTE_US
"""A session ends after this long without an event."""
NEUTRAL_ENGAGEMENT = 50.0
"""Engagement of a new user."""


class Trace(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An event that a detector may still need: its time, id, place, and number of attempts."""

    at_us: int
    event_id: str
    page: str
    target: str
    kind: int
    count: int = 1


class ChainClick(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One click of a run of quick clicks without a known effect."""

    at_us: int
    event_id: str
    page: str
    target: str
    x: float | None
    y: float | None
    is_fruitless: bool
    """Whether it is known to have had no effect or caused an error; false if that was not watched."""


class OpenSignal(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A reported signal that may still count, with its place, so that a success there can end it."""

    type: int
    at_us: int
    """When it was found."""
    target: str
    """As it was reported."""
    page: str
    since_us: int
    """A success at this time or later ends it."""
    run_start_us: int = 0


class State(msgspec.Struct, array_like=True, gc=False):
    """One user; `State()` is an unknown user. Times are Unix microseconds of event time, 0 for never."""

    # The whole history.
    first_us: int = 0
    last_us: int = 0
    """The latest event time seen: the user's own now. Late events do not move it back."""
    event_count: int = 0
    session_count: int = 0
    last_success_us: int = 0
    purchase_amount: float = 0.0
    """What was spent, refunds taken off, whatever its currency."""
    purchase_count: int = 0
    platforms: int = 0
    """Platforms seen, as a set of bits: 1 << platform."""
    time_zone: str = ""
    is_bot: bool = False
    last_page: str = ""

    # The last 30 minutes: ascending times of what happened, see `window`.
    errors: list[int] = []
    retries: list[int] = []
    helps: list[int] = []
    abandons: list[int] = []
    click_findings: list[int] = []
    successes: list[int] = []
    failures: list[int] = []
    """Failed tasks and the failed attempts a client reported; errors stand in `errors`."""

    # The last 28 days, see `window`.
    today: int = 0
    """The UTC day of `last_us`, in days since 1970; the day marks below count back from it."""
    session_days: bytes = b""
    page_days: bytes = b""
    page_marks: bytes = b""

    # The session that is open.
    session_start_us: int = 0
    page_exit_count: int = 0
    page_visit_count: int = 0
    first_visit_us: int = 0

    # The page the user is on; empty before the first page view of a session.
    page: str = ""
    page_event_id: str = ""
    page_viewed_us: int = 0
    page_is_touched: bool = False
    """Whether anything was done on the page since it was entered."""
    page_is_quiet: bool = False
    """Whether no event followed since the page was last shown."""
    page_before: str = ""
    page_active_us: int = 0
    page_active_step: int = 0

    # The form that was begun or sent last in this session; empty for none.
    form: str = ""
    form_page: str = ""
    form_event_id: str = ""
    form_is_open: bool = False

    # Engagement, see `engagement`.
    engagement: float = NEUTRAL_ENGAGEMENT
    scored_count: int = 0
    session_scored_count: int = 0
    session_engagement_sum: float = 0.0
    usual_engagement: float = 0.0
    usual_session_count: int = 0
    drop_step: int = 0

    # Struggle, see `struggle` and `clicks`: what the detectors still need, by signal type.
    traces: dict[int, list[Trace]] = {}
    chain: list[ChainClick] = []
    rage_us: int = 0
    rage_count: int = 0

    # Added by later versions; new fields go to the end.
    purchase_amounts: dict[str, float] = {}
    """Amounts spent by currency minus refunds; the empty code is for amounts without a currency, see `money`."""
    open_signals: list[OpenSignal] = []
    """Signals of the last 30 minutes that no success has ended, in the order they were reported, see `settlement`."""
    solved: bytes = b""
    """When and at what the user last succeeded, see `settlement`."""
    form_us: int = 0
    """When `form` was begun or sent."""
    view_mark: bytes = b""
    """Checksum of the full address of the page the user is on, as last viewed."""
    click_us: int = 0
    """The last click that counted."""
    run_start_us: int = 0
    """Start of the rage that goes on in `chain`."""
    run_length: int = 0
    """Its clicks so far; 0 where `chain` is no rage yet."""
    click_mark: bytes = b""
    """Checksum of the target of the last click that counted."""
    sent_us: int = 0
    """When `form` was sent, if the result is not known yet; else 0."""
    view_us: int = 0
    """The last page view that counted: `page_viewed_us` is also that of an echo."""
    solved_us: int = 0
    """When the latest success in `solved` was; it may be after everything the user did, if a system reported it."""
    zone_is_own: bool = False
    """Whether the user's own device reported `time_zone`, and no server."""
    shown_us: int = 0
    """The latest event that a browser or a phone reported."""
    history: History = msgspec.field(default_factory=History)
    """The user's past. It begins anew after a version without it has written the state."""
    numbers: dict[str, Number] = {}
    """The installation's own columns of numbers, see `own`."""
    words: dict[str, Word] = {}
    """Its own columns of words."""
