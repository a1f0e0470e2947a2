"""Translates between messages and the domain's values."""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from journeymesh.access.v1 import access_pb2 as wire
from journeymesh.common.v1 import event_pb2

from mesh import keys as texts
from mesh.clock import LATEST_US
from mesh.errors import InvalidArgument
from mesh.rpc.timestamps import timestamp
from services.access.keys.domain.key import NEVER, Ending, Key, Made, Rights
from services.access.keys.domain.lifecycle import Request
from services.access.keys.domain.rate import Rate
from services.access.keys.domain.tenant import NOT_YET, NOTHING_MORE, Masking, Tenant
from services.access.keys.domain.validation import Vocabulary
from services.access.keys.ports import Snapshot
from services.access.keys.usecases import MOST_USES, UsedKey

_HASH_BYTES: Final = 32
_TYPE_PREFIX: Final = "EVENT_TYPE_"
VOCABULARY: Final = Vocabulary(
    usual_scopes={str(kind): frozenset(map(str, scopes)) for kind, scopes in texts.USUAL_SCOPES.items()},
    largest_scopes={str(kind): frozenset(map(str, scopes)) for kind, scopes in texts.LARGEST_SCOPES.items()},
    event_types=frozenset(
        name.removeprefix(_TYPE_PREFIX).lower() for name, number in event_pb2.EventType.items() if number
    ),
)
"""The words of rights; event types are spelled as in REST."""

_KINDS: Final = {
    wire.KEY_KIND_PUBLIC: str(texts.Kind.PUBLIC),
    wire.KEY_KIND_SECRET: str(texts.Kind.SECRET),
    wire.KEY_KIND_ADMIN: str(texts.Kind.ADMIN),
}
_KIND_NUMBERS: Final = {kind: number for number, kind in _KINDS.items()}
_MASKED_KINDS: Final = frozenset(filter(None, wire.MaskedKind.values()))
_STATES: Final = {
    Ending.EXPIRED: wire.KEY_STATE_EXPIRED,
    Ending.ROTATED: wire.KEY_STATE_ROTATED,
    Ending.REVOKED: wire.KEY_STATE_REVOKED,
    Ending.TENANT_DELETED: wire.KEY_STATE_TENANT_DELETED,
}


def request_of(message: wire.CreateKeyRequest) -> Request:
    """What a new key is asked to be.

    Raises:
        InvalidArgument: its kind is missing or unknown, or what the caller made cannot be a key.
    """
    if message.kind == wire.KEY_KIND_UNSPECIFIED:
        raise InvalidArgument("MISSING_FIELD", "A key is public, secret or for administration.")
    if message.kind not in _KINDS:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "A key is public, secret or for administration.")
    asked = message.rights
    rights = Rights(tuple(asked.scopes), tuple(asked.origins), tuple(asked.event_types), rate_of(asked))
    kind = _KINDS[message.kind]
    return Request(kind, message.name, rights, message.lifetime_seconds, message.tenant, made_of(message))


def made_of(message: wire.CreateKeyRequest | wire.RotateKeyRequest) -> Made | None:
    """The key that the caller made; None if the service is to make it.

    Raises:
        InvalidArgument: it cannot be a key.
    """
    if not message.HasField("made"):
        return None
    if not texts.is_id(message.made.key_id) or len(message.made.text_hash) != _HASH_BYTES:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "A key has an id of 22 letters and digits, and a hash of 32 bytes.")
    return Made(message.made.key_id, message.made.text_hash)


def rate_of(message: wire.KeyRights | wire.CreateTenantRequest | wire.LimitTenantRequest) -> Rate | None:
    """The rate that is asked for; None if none is."""
    return Rate(message.rate.per_second, message.rate.burst) if message.HasField("rate") else None


def uses_of(message: wire.RecordKeyUsesRequest) -> Mapping[str, int]:
    """When keys were used, by key id; of two uses of a key the later one.

    Raises:
        InvalidArgument: there are too many, or a time is none.
    """
    if len(message.uses) > MOST_USES:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", f"A report has at most {MOST_USES:,} uses.")
    uses: dict[str, int] = {}
    for use in message.uses:
        if not 0 <= use.used_us <= LATEST_US:
            raise InvalidArgument("VALUE_OUT_OF_RANGE", "A key is used at a time from 1970 to 2255.")
        uses[use.key_id] = max(use.used_us, uses.get(use.key_id, 0))
    return uses


def new_key_message(key: Key) -> wire.Key:
    """A key that was just created."""
    return key_message(UsedKey(key, has_ended=False, last_used_us=0))


def key_message(used: UsedKey) -> wire.Key:
    """A key without its text."""
    key = used.key
    return wire.Key(
        key_id=key.key_id,
        kind=_KIND_NUMBERS[key.kind],
        name=key.name,
        rights=_rights_message(key.rights),
        created_at=timestamp(key.created_us),
        ends_at=None if key.ends_us == NEVER else timestamp(key.ends_us),
        state=_STATES[key.ended_as] if used.has_ended else wire.KEY_STATE_ACTIVE,
        last_used_at=timestamp(used.last_used_us) if used.last_used_us else None,
        successor_id=key.successor_id,
        tenant=key.tenant,
    )


def tenant_message(tenant: Tenant) -> wire.Tenant:
    """A tenant."""
    return wire.Tenant(
        name=tenant.name,
        created_at=timestamp(tenant.created_us),
        deleted_at=None if tenant.deleted_us == NOT_YET else timestamp(tenant.deleted_us),
        rate=_rate_message(tenant.rate),
        retention_days=tenant.retention_days,
        masking=_masking_message(tenant.masking) if tenant.masking != NOTHING_MORE else None,
    )


def masking_of(message: wire.SetTenantMaskingRequest) -> Masking:
    """What is to be masked.

    Raises:
        InvalidArgument: a kind is unknown.
    """
    if not {*message.masking.kinds} <= _MASKED_KINDS:
        raise InvalidArgument("VALUE_OUT_OF_RANGE", "A kind of what is masked is unknown.")
    return Masking(tuple(message.masking.kinds), tuple(message.masking.names))


def settings_message(kept: Snapshot) -> wire.GetTenantSettingsResponse:
    """What was set for tenants."""
    settings = (
        wire.TenantSettings(
            tenant=each.name, retention_days=each.retention_days, masking=_masking_message(each.masking)
        )
        for each in kept.tenants.values()
    )
    return wire.GetTenantSettingsResponse(revision=kept.revision, settings=settings)


def _masking_message(masking: Masking) -> wire.TenantMasking:
    return wire.TenantMasking(kinds=cast("Sequence[wire.MaskedKind.ValueType]", masking.kinds), names=masking.names)


def keyring_message(keyring: Snapshot) -> wire.GetKeyringResponse:
    """What a gateway checks keys with."""
    tenants = keyring.tenants
    entries = (_entry(key, tenants[key.tenant].rate if key.tenant else None) for key in keyring.keys.values())
    return wire.GetKeyringResponse(revision=keyring.revision, entries=entries)


def _entry(key: Key, tenant_rate: Rate | None) -> wire.KeyringEntry:
    return wire.KeyringEntry(
        key_id=key.key_id,
        text_hash=key.credentials.text_hash,
        rights=_rights_message(key.rights),
        ends_us=key.ends_us,
        ended_as=_STATES[key.ended_as],
        identity_secret=key.credentials.identity_secret,
        kind=_KIND_NUMBERS[key.kind],
        tenant=key.tenant,
        tenant_rate=_rate_message(tenant_rate),
    )


def _rights_message(rights: Rights) -> wire.KeyRights:
    return wire.KeyRights(
        scopes=rights.scopes,
        origins=rights.origins,
        event_types=rights.event_types,
        rate=_rate_message(rights.rate),
    )


def _rate_message(rate: Rate | None) -> wire.Rate | None:
    return wire.Rate(per_second=rate.per_second, burst=rate.burst) if rate else None
