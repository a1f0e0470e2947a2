"""Records what callers with keys do to data about people and to the mesh, before it is done.

What cannot be recorded is not done.
"""

import uuid
from typing import TYPE_CHECKING, Final

from journeymesh.access.v1 import audit_pb2

from gateway.http.asgi import Request
from records.tenants import qualified

if TYPE_CHECKING:
    from journeymesh.access.v1.audit_pb2_grpc import AuditServiceAsyncStub

_LONGEST_SUBJECT: Final = 256


async def record(audit: "AuditServiceAsyncStub", request: Request, action: str) -> None:
    """Records that the caller of a request is about to do this.

    Raises:
        Unavailable: it cannot be recorded.
    """
    subject, is_user = _subject(request)
    act = audit_pb2.Act(
        act_id=uuid.uuid4().bytes,
        time_us=request.received_us,
        actor=qualified(request.caller.tenant, request.caller.key_id),
        action=action,
        subject=subject[:_LONGEST_SUBJECT],
        is_user=is_user,
        trace_id=request.trace_id,
    )
    await audit.RecordActs(audit_pb2.RecordActsRequest(acts=[act]))


def _subject(request: Request) -> tuple[str, bool]:
    """What a request is about, and whether that is a user; empty if it names nothing."""
    user_id = request.parameters.get("userId") or request.query.get("userId", "")
    if user_id:
        return user_id, True
    return next(iter(request.parameters.values()), ""), False
