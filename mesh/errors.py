"""The closed vocabulary of errors, and its encoding for the wire.

A `MeshError` carries a stable `reason` (a name of `ErrorReason` without its prefix) and a `detail` that may be shown to
a client. `from_rpc_error` decodes what `to_status` encodes.
"""

from typing import Final

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

DOMAIN: Final = "journeymesh"
# The metadata of `ErrorInfo` that says how far a shard was applied already.
_THROUGH: Final = "applied_through"
# The length of the longest sequence number.
_DIGITS_MOST: Final = 64
# In the text of gRPC, on either side and in both directions.
_TOO_LARGE: Final = "message larger than max"
INTERNAL_TEXT: Final = "Something went wrong on our side."
_AWAY: Final = "A service cannot be reached."
_VERSION: Final = "A service runs another version, which cannot answer this."


class MeshError(Exception):
    """An error with a stable reason; raise one of its kinds, never this."""

    code: grpc.StatusCode = grpc.StatusCode.INTERNAL

    def __init__(self, reason: str, detail: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds


class InvalidArgument(MeshError):
    """The request is invalid, whatever the state."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(MeshError):
    """What was requested does not exist, or not any more."""

    code = grpc.StatusCode.NOT_FOUND


class Unauthenticated(MeshError):
    """The sender of the request is unknown: its key is missing or not valid."""

    code = grpc.StatusCode.UNAUTHENTICATED


class PermissionDenied(MeshError):
    """The sender of the request may not make it."""

    code = grpc.StatusCode.PERMISSION_DENIED


class AlreadyExists(MeshError):
    """What was to be created exists."""

    code = grpc.StatusCode.ALREADY_EXISTS


class FailedPrecondition(MeshError):
    """The request is valid, but the state does not allow it."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class AlreadyApplied(FailedPrecondition):
    """A batch begins before its shard's progress: all records up to `through` were applied or kept as failed events."""

    def __init__(self, detail: str, through: int) -> None:
        super().__init__("POSITION_STALE", detail)
        self.through = through


class ResourceExhausted(MeshError):
    """A limit is reached; a later call may succeed."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class Unavailable(MeshError):
    """A peer or store cannot be reached now; the same call may succeed later."""

    code = grpc.StatusCode.UNAVAILABLE


class VersionMismatch(Unavailable):
    """A peer, or what it has stored, is of another version that this process does not understand.

    The caller waits for the upgrade: the data is not at fault.
    """

    def __init__(self, detail: str) -> None:
        super().__init__("VERSION_MISMATCH", detail)


class Damaged(Unavailable):
    """What is stored cannot be read by any version: only itself is at fault.

    The process that reads it goes on. Waiting does not help, so to callers it is `Internal`.
    """

    code = grpc.StatusCode.DATA_LOSS

    def __init__(self, what: str) -> None:
        super().__init__("INTERNAL", f"{what} cannot be read: what is stored is damaged.")


class Unreachable(Unavailable):
    """Nobody answered. Only decoded, never raised by our own code."""


class TooLarge(MeshError):
    """A request or its answer is too large for a message, and has to be split. Only decoded."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class DeadlineExceeded(MeshError):
    """The deadline passed, or is too near to begin."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class Internal(MeshError):
    """A bug of a peer. Only decoded."""


_KINDS: Final[dict[grpc.StatusCode, type[MeshError]]] = {
    kind.code: kind
    for kind in (
        InvalidArgument,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        Unauthenticated,
        PermissionDenied,
        ResourceExhausted,
        Unavailable,
        DeadlineExceeded,
    )
}


_OF_TRANSPORT: Final[dict[grpc.StatusCode, tuple[type[MeshError], str, str]]] = {
    grpc.StatusCode.DEADLINE_EXCEEDED: (DeadlineExceeded, "DEADLINE_TOO_SHORT", "A service did not answer in time."),
    grpc.StatusCode.UNAVAILABLE: (Unreachable, "DEPENDENCY_UNAVAILABLE", _AWAY),
    grpc.StatusCode.CANCELLED: (Unreachable, "DEPENDENCY_UNAVAILABLE", _AWAY),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (Unavailable, "DEPENDENCY_UNAVAILABLE", _AWAY),
    grpc.StatusCode.UNIMPLEMENTED: (Unavailable, "VERSION_MISMATCH", _VERSION),
}


def to_status(error: MeshError) -> status_pb2.Status:
    """Encodes an error as a `google.rpc.Status` with `ErrorInfo` and, if known, `RetryInfo`."""
    info = any_pb2.Any()
    metadata = {_THROUGH: str(error.through)} if isinstance(error, AlreadyApplied) else {}
    info.Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata))
    details = [info]
    if error.retry_after_seconds is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(round(error.retry_after_seconds * 1000))
        packed = any_pb2.Any()
        packed.Pack(retry)
        details.append(packed)
    number: int = error.code.value[0]
    return status_pb2.Status(code=number, message=error.detail, details=details)


def internal_status() -> status_pb2.Status:
    """The status of anything but a `MeshError`: a fixed text, never that of the exception."""
    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason="INTERNAL", domain=DOMAIN))
    return status_pb2.Status(code=code_pb2.INTERNAL, message=INTERNAL_TEXT, details=[info])


def from_rpc_error(error: grpc.aio.AioRpcError) -> MeshError:
    """Decodes a peer's error to the type that was raised; transport errors become `Unavailable` or `DeadlineExceeded`.

    So does an unknown method: the peer is of an older version and will be upgraded.
    """
    status = rpc_status.from_call(error)
    reason, retry_after, through = "", None, ""
    for detail in status.details if status is not None else ():
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info) and info.domain == DOMAIN:
            reason, through = info.reason, info.metadata.get(_THROUGH, "")
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToMilliseconds() / 1000
    if through.isdecimal() and len(through) <= _DIGITS_MOST:
        return AlreadyApplied(error.details() or "", int(through))
    if reason:
        kind = _KINDS.get(error.code(), Internal)
        return kind(reason, error.details() or "", retry_after)
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in (error.details() or ""):
        return TooLarge("INTERNAL", "A message would be larger than a message may be.")
    kind, reason, detail = _OF_TRANSPORT.get(error.code(), (Internal, "INTERNAL", INTERNAL_TEXT))
    return kind(reason, detail)
