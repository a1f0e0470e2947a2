"""Keys whose texts somebody else made, such as the first ones of a cluster, which come from a Kubernetes Secret."""

import dataclasses
from collections.abc import Mapping

from mesh import keys as texts
from mesh.errors import InvalidArgument
from services.access.keys.domain.key import Credentials, Rights
from services.access.keys.domain.lifecycle import Request
from services.access.keys.ports import ImportedKeys
from services.access.keys.usecases import Access


@dataclasses.dataclass(frozen=True, slots=True)
class Importing:
    """Takes each key once: one that was revoked since does not come back, although its text is still there."""

    access: Access
    imported: ImportedKeys

    async def take(self, wanted: Mapping[str, str]) -> int:
        """Takes keys, as texts by name, with what is usual for their kinds; returns how many were new.

        Raises:
            InvalidArgument: a text is no key, or one of a public key, which needs an identity secret; or a name cannot
                be one. Keys before it may be taken.
            FailedPrecondition: there are too many keys.
            Unavailable: the store cannot be reached; the call may be repeated.
        """
        known, count = await self.imported.ids(), 0
        for name, text in wanted.items():
            presented = texts.presented(text)
            if presented is None or presented.kind is texts.Kind.PUBLIC:
                detail = f"{name!r} is no text of a secret or admin key, as `journeymesh keys text` makes them."
                raise InvalidArgument("VALUE_OUT_OF_RANGE", detail)
            if presented.key_id in known:
                continue
            request = Request(str(presented.kind), name, Rights(()))
            await self.access.keep(request, Credentials(presented.key_id, presented.text_hash, ""), "keys.import")
            await self.imported.add(presented.key_id)
            count += 1
        return count
