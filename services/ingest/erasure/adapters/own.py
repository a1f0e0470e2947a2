"""What ingest itself keeps of people: links, clocks and failed events.

None of it has an index by user, so all of it is looked at.
"""

import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from mesh.state.exporting import Record, record
from services.ingest.accept.ports import Identities, Skews
from services.ingest.erasure.domain import person
from services.ingest.events.domain.event import FailedEvent
from services.ingest.events.ports import FailedEvents

_PAGE_SIZE: Final = 100


@dataclasses.dataclass(frozen=True)
class OwnRecords:
    """Counts and erases them."""

    identities: Identities
    skews: Skews
    failed: FailedEvents

    async def ids_of(self, user_ids: Sequence[str]) -> set[str]:
        """See `services.ingest.erasure.ports.Links`."""
        ids = {*user_ids}
        while True:
            known = len(ids)
            ids = person.ids_by(await self._links(ids), ids)
            if len(ids) == known:
                return ids

    async def count(self, user_ids: Sequence[str]) -> Mapping[str, int]:
        """See `services.ingest.erasure.ports.Service`."""
        return {
            "ingest.links": len(await self._links({*user_ids})),
            "ingest.clocks": len(await self.skews.of_users(user_ids)),
            "ingest.failedEvents": len([each async for each in self._failed(user_ids)]),
        }

    async def erase(self, user_ids: Sequence[str], pseudonym: str) -> None:  # noqa: ARG002 - nothing is kept under it
        """See `services.ingest.erasure.ports.Service`."""
        links = await self._links({*user_ids})
        staying = person.without(links, {*user_ids})
        if staying:
            await self.identities.link(staying)
        await self.identities.unlink([each for each in links if each not in staying])
        await self.skews.forget(await self.skews.of_users(user_ids))
        for failed in [each async for each in self._failed(user_ids)]:
            await self.failed.remove(failed.id)

    async def export(self, user_ids: Sequence[str]) -> Sequence[Record]:
        """See `services.ingest.export.ports.Source`. A link says nothing about others who had the device."""
        links, devices = await self._links({*user_ids}), await self.skews.of_users(user_ids)
        clocks = await self.skews.find(devices)
        return [
            *[
                record("ingest.links", {"anonymous_id": each, "spans": person.own_spans(link, each, user_ids)})
                for each, link in sorted(links.items())
            ],
            *[record("ingest.clocks", {"device": each, "clock": clock}) for each, clock in sorted(clocks.items())],
            *[record("ingest.failedEvents", _said(each)) async for each in self._failed(user_ids)],
        ]

    async def _links(self, ids: set[str]) -> dict[str, str]:
        return {
            anonymous_id: link
            async for some in self.identities.scan()
            for anonymous_id, link in some.items()
            if person.names(link, anonymous_id, ids)
        }

    async def _failed(self, user_ids: Sequence[str]) -> AsyncIterator[FailedEvent]:
        token = ""
        while True:
            page, token = await self.failed.list(_PAGE_SIZE, token)
            for one in page:
                if person.is_of(one, user_ids):
                    yield one
            if not token:
                return


def _said(failed: FailedEvent) -> dict[str, Any]:
    """A failed event with what was sent as text. Of one that was kept whole that says the same in our own words."""
    return {**failed._asdict(), "payload": failed.payload.decode(errors="replace")}
