"""Which ids are those of a person, by the links of anonymous ids; and links without the person. Pure."""

import json
import re
from collections.abc import Collection, Mapping

from records.tenants import plain, tenant_of
from services.ingest.accept.domain import holders
from services.ingest.accept.domain.holders import How, Span
from services.ingest.events.domain.event import FailedEvent


def names(link: str, anonymous_id: str, ids: Collection[str]) -> bool:
    """Whether a link is about one of the ids: it is their own, or tells that they have or had the device."""
    if anonymous_id in ids:
        return True
    # Most links name none of them, and need not be read.
    return any(each in link for each in ids) and not _users(link, anonymous_id).isdisjoint(ids)


def ids_by(links: Mapping[str, str], ids: Collection[str]) -> set[str]:
    """The ids, and the anonymous ids of the links that are theirs now."""
    return {*ids, *(anonymous_id for anonymous_id, link in links.items() if holders.holder(link) in ids)}


def without(links: Mapping[str, str], ids: Collection[str]) -> dict[str, str]:
    """The links that stay: devices that others have now; what the person did with them is nobody's."""
    return {
        anonymous_id: holders.written(
            [_anonymous(span, ids) for span in holders.read(link, anonymous_id)], anonymous_id
        )
        for anonymous_id, link in links.items()
        if anonymous_id not in ids and holders.holder(link) not in ids
    }


def own_spans(link: str, anonymous_id: str, ids: Collection[str]) -> list[Span]:
    """When an anonymous id was theirs, newest first; spans of others say nobody."""
    return [
        span if not span.user_id or span.user_id in ids else Span(span.from_us, How.REFUSED)
        for span in holders.read(link, anonymous_id)
    ]


def is_of(failed: FailedEvent, ids: Collection[str]) -> bool:
    """Whether a failed event names one of the ids as its user, as far as what was sent can be read.

    What was sent has plain ids, of the tenant that the event's own ids carry.
    """
    if failed.user_id in ids:
        return True
    tenant = tenant_of(failed.event_id or failed.user_id)
    own = sorted(plain(each) for each in ids if tenant_of(each) == tenant)
    if not own:
        return False
    quoted = "|".join(re.escape(json.dumps(each)) for each in own)
    said = rf'"(?:userId|user_id|anonymousId|anonymous_id|previousId)"\s*:\s*(?:{quoted})'
    return re.search(said, failed.payload.decode(errors="replace")) is not None


def _users(link: str, anonymous_id: str) -> set[str]:
    return {holders.holder(link), *(span.user_id for span in holders.read(link, anonymous_id))}


def _anonymous(span: Span, ids: Collection[str]) -> Span:
    return Span(span.from_us, How.REFUSED) if span.user_id in ids else span
