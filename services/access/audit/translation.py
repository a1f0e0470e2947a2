"""Translates between messages and the values of the audit log."""

from collections.abc import Sequence
from typing import Final

from journeymesh.access.v1 import audit_pb2 as wire

from mesh.clock import LATEST_US
from mesh.errors import InvalidArgument
from mesh.rpc.timestamps import timestamp
from services.access.audit.domain.entry import EMPTY, USER_PREFIX, Act, Head
from services.access.audit.domain.verification import Page
from services.access.audit.usecases import Filters, Listed, NewAct

MOST_ACTS: Final = 500
"""In one call."""
MOST_READ: Final = 1_000
"""Entries in one part of the chain."""
_MOST_LISTED: Final = 100
_USUALLY_LISTED: Final = 20
_ID_BYTES: Final = 16
_ACTOR_LENGTH: Final = 100
_ACTION_LENGTH: Final = 100
_SUBJECT_LENGTH: Final = 256
_SEQUENCE_DIGITS: Final = 15


def acts_of(message: wire.RecordActsRequest) -> Sequence[NewAct]:
    """The acts to append, in their order.

    Raises:
        InvalidArgument: there are none or too many, or one is invalid.
    """
    if not message.acts:
        raise InvalidArgument("MISSING_FIELD", "A call records one act or more.")
    if len(message.acts) > MOST_ACTS:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"A call records at most {MOST_ACTS} acts.")
    return [_act(act) for act in message.acts]


def _act(of: wire.Act) -> NewAct:
    if not (of.act_id and of.actor and of.action) or (of.is_user and not of.subject):
        raise InvalidArgument("MISSING_FIELD", "An act has an id, an actor, an action and, if about a user, a subject.")
    if len(of.act_id) != _ID_BYTES or len(of.trace_id) not in {0, _ID_BYTES}:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"The id of an act, and of its trace, has {_ID_BYTES} bytes.")
    if not 0 <= of.time_us <= LATEST_US:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "An act happens at a time from 1970 to 2255.")
    if len(of.actor) > _ACTOR_LENGTH or len(of.action) > _ACTION_LENGTH or len(of.subject) > _SUBJECT_LENGTH:
        raise InvalidArgument(
            "VALUE_OUT_OF_RANGE",
            f"An actor has up to {_ACTOR_LENGTH} characters, an action {_ACTION_LENGTH}, a subject {_SUBJECT_LENGTH}.",
        )
    if of.subject.startswith(USER_PREFIX) and not of.is_user:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"Only the subject of a user begins with {USER_PREFIX!r}.")
    return NewAct(Act(of.act_id, of.time_us, of.actor, of.action, of.subject, of.trace_id), of.is_user)


def filters_of(message: wire.ListEntriesRequest) -> Filters:
    """Which entries are asked for."""
    return Filters(message.actor, message.user_id)


def page_of(message: wire.ListEntriesRequest) -> tuple[int, int]:
    """The number before which a page begins, 0 for the newest, and how many entries it has at most.

    Raises:
        InvalidArgument: the token is none.
    """
    token = message.page_token
    if token and not (token.isascii() and token.isdecimal() and len(token) <= _SEQUENCE_DIGITS and int(token)):
        raise InvalidArgument("INVALID_PARAMETER", "The page token is none that a list gave.")
    most = message.page_size if message.page_size > 0 else _USUALLY_LISTED
    return int(token or "0"), min(most, _MOST_LISTED)


def entries_message(listed: Sequence[Listed], following: int) -> wire.ListEntriesResponse:
    """A page of a list."""
    return wire.ListEntriesResponse(entries=map(_entry, listed), next_page_token=str(following) if following else "")


def _entry(of: Listed) -> wire.AuditEntry:
    act = of.entry.act
    return wire.AuditEntry(
        sequence=of.entry.sequence,
        time=timestamp(act.time_us),
        actor=act.actor,
        action=act.action,
        subject=act.subject,
        trace_id=act.trace_id.hex(),
        hash=of.hash.hex(),
    )


def part_of(message: wire.ReadChainRequest) -> tuple[int, int]:
    """The number after which to read, and how many entries at most; what is out of range is brought into it."""
    return min(max(message.after_sequence, 0), LATEST_US), min(max(message.max_entries, 1), MOST_READ)


def chain_message(page: Page) -> wire.ReadChainResponse:
    """A part of the chain."""
    return wire.ReadChainResponse(
        entries=page.entries,
        first_sequence=page.first_sequence,
        hash_before=page.hash_before,
        last_sequence=page.last.sequence,
        last_hash=page.last.hash if page.last.sequence else b"",
    )


def chain_page(message: wire.ReadChainResponse) -> Page:
    """A part of the chain as a caller gets it."""
    last = Head(message.last_sequence, message.last_hash) if message.last_sequence else EMPTY
    return Page(message.entries, message.first_sequence, message.hash_before, last)
