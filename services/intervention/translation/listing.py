"""Which decisions a request asks for."""

from collections.abc import Sequence
from typing import Final

from journeymesh.intervention.v1 import intervention_pb2 as wire

from services.intervention.decision.domain.ledger import Decision
from services.intervention.reading import Reading
from services.intervention.translation import words

_PAGE_SIZE: Final = 20
_LARGEST_PAGE_SIZE: Final = 100


async def listed(reading: Reading, request: wire.ListDecisionsRequest) -> Sequence[Decision]:
    """The decisions of a user, of a trace or at a position.

    Raises:
        InvalidArgument: the request names none of these.
        VersionMismatch: it names something that only a newer version knows.
    """
    limit = min(request.page_size or _PAGE_SIZE, _LARGEST_PAGE_SIZE)
    match request.WhichOneof("by"):
        case "user_id":
            return await reading.decisions_of_user(request.user_id, limit)
        case "trace_id":
            return await reading.decisions_of_trace(words.trace_id_of(request.trace_id), limit)
        case "position":
            return await reading.decisions_at(words.position_of(request.position))
        case _:
            raise words.unlisted(request)
