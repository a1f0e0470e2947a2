"""State by key: users, interventions, undelivered messages and contacts."""

from typing import Final

import msgspec

from mesh.state.keyed import StateKind
from services.intervention.decision.domain.facts import Contact, Outcome
from services.intervention.decision.domain.ledger import KeptIntervention
from services.intervention.decision.domain.offer import Undelivered
from services.intervention.decision.domain.user_state import NOBODY, UserState

_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE_USER: Final = msgspec.msgpack.Decoder(UserState).decode
_DECODE_INTERVENTION: Final = msgspec.msgpack.Decoder(KeptIntervention).decode
_DECODE_UNDELIVERED: Final = msgspec.msgpack.Decoder(Undelivered).decode
_DECODE_CONTACT: Final = msgspec.msgpack.Decoder(Contact).decode
_NOWHERE: Final = Contact("", "")


def _encode_user(user: UserState) -> bytes:
    # A withdrawn offer is written as expired, with the reason beside it: a replica of the previous version may decide
    # next, and it does not know withdrawals.
    return _ENCODE(_with_outcome(user, Outcome.EXPIRED))


def _decode_user(blob: bytes) -> UserState:
    return _with_outcome(_DECODE_USER(blob), Outcome.WITHDRAWN) if blob else NOBODY


def _with_outcome(user: UserState, outcome: Outcome) -> UserState:
    """The user with this outcome of the withdrawn offers."""
    if not any(each.withdrawal for each in user.offers):
        return user
    offers = (msgspec.structs.replace(each, outcome=outcome) if each.withdrawal else each for each in user.offers)
    return msgspec.structs.replace(user, offers=tuple(offers))


def _decode_intervention(blob: bytes) -> KeptIntervention | None:
    return _DECODE_INTERVENTION(blob) if blob else None


def _decode_undelivered(blob: bytes) -> Undelivered:
    return _DECODE_UNDELIVERED(blob) if blob else ()


def _decode_contact(blob: bytes) -> Contact:
    return _DECODE_CONTACT(blob) if blob else _NOWHERE


USERS: Final = StateKind("user:", _decode_user, _encode_user)
"""By user."""
INTERVENTIONS: Final = StateKind[KeptIntervention | None]("made:", _decode_intervention, _ENCODE, is_sealed=False)
"""By the id of an intervention."""
UNDELIVERED: Final = StateKind[Undelivered]("undelivered:", _decode_undelivered, _ENCODE, is_sealed=False)
"""By user."""
CONTACTS: Final = StateKind[Contact]("contact:", _decode_contact, _ENCODE, is_sealed=False)
"""By user; empty for one who cannot be reached."""
