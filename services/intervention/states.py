"""What the intervention service keeps beside the ledger and the outbox: users, counts, and what follows from them."""

from typing import Final

import msgspec

from mesh.keyed import Kind
from services.intervention.domain.delivery import Undelivered
from services.intervention.domain.facts import Contact, Outcome
from services.intervention.domain.ledger import Record
from services.intervention.domain.pending import NOBODY, Helped
from services.intervention.domain.tally import Tally
from services.intervention.domain.worded import Worded

_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE_HELPED: Final = msgspec.msgpack.Decoder(Helped).decode
_DECODE_TALLY: Final = msgspec.msgpack.Decoder(Tally).decode
_DECODE_RECORD: Final = msgspec.msgpack.Decoder(Record).decode
_DECODE_UNDELIVERED: Final = msgspec.msgpack.Decoder(Undelivered).decode
_DECODE_CONTACT: Final = msgspec.msgpack.Decoder(Contact).decode
_DECODE_WORDED: Final = msgspec.msgpack.Decoder(Worded).decode
_NOWHERE: Final = Contact("", "")


def _encode_helped(helped: Helped) -> bytes:
    # What was taken back is written as expired, with the reason beside it: a replica of the version before, which may
    # decide next, knows no other end for it.
    return _ENCODE(_with_outcome(helped, Outcome.EXPIRED))


def _decode_helped(blob: bytes) -> Helped:
    return _with_outcome(_DECODE_HELPED(blob), Outcome.WITHDRAWN) if blob else NOBODY


def _with_outcome(helped: Helped, outcome: Outcome) -> Helped:
    """The user with this outcome of what was taken back."""
    if not any(each.withdrawal for each in helped.offers):
        return helped
    offers = (msgspec.structs.replace(each, outcome=outcome) if each.withdrawal else each for each in helped.offers)
    return msgspec.structs.replace(helped, offers=tuple(offers))


def _decode_tally(blob: bytes) -> Tally:
    return _DECODE_TALLY(blob) if blob else ()


def _decode_record(blob: bytes) -> Record | None:
    return _DECODE_RECORD(blob) if blob else None


def _decode_undelivered(blob: bytes) -> Undelivered:
    return _DECODE_UNDELIVERED(blob) if blob else ()


def _decode_contact(blob: bytes) -> Contact:
    return _DECODE_CONTACT(blob) if blob else _NOWHERE


def _decode_worded(blob: bytes) -> Worded | None:
    return _DECODE_WORDED(blob) if blob else None


USERS: Final = Kind("user:", _decode_helped, _encode_helped)
"""By user, as far as help is concerned."""
TALLIES: Final = Kind[Tally]("tally:", _decode_tally, _ENCODE)
"""By shard."""
RECORDS: Final = Kind[Record | None]("made:", _decode_record, _ENCODE, is_sealed=False)
"""By the id of an intervention, for whoever asks by it."""
UNDELIVERED: Final = Kind[Undelivered]("undelivered:", _decode_undelivered, _ENCODE, is_sealed=False)
"""By user."""
CONTACTS: Final = Kind[Contact]("contact:", _decode_contact, _ENCODE, is_sealed=False)
"""By user; an empty one is of somebody who cannot be reached."""
WORDINGS: Final = Kind[Worded | None]("wording:", _decode_worded, _ENCODE, is_sealed=False)
"""By the id of an intervention."""
