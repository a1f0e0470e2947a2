"""Errors as RFC 9457 problems: the form of every failing answer, and the meaning of every reason."""

import logging
import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import grpc
import msgspec

from gateway.http.asgi import Answer, BodyTooSlow, Headers
from mesh.errors import INTERNAL_TEXT, Internal, MeshError, from_rpc_error

CONTENT_TYPE: Final = "application/problem+json"

# These have the same status whatever kind of error carries them.
_STATUS_OF_REASON: Final = {
    "PATH_NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "HOST_NOT_ALLOWED": 421,
    "REQUEST_TOO_LARGE": 413,
    "UNSUPPORTED_CONTENT_TYPE": 415,
}

_STATUS_OF_CODE: Final = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}

INFERENCE: Final = "/v2"
"""How the paths of the Open Inference Protocol begin."""

RETRY_STATUSES: Final = (429, 503)
UNAUTHENTICATED_STATUS: Final = 401
CONNECTION_CLOSE: Final = (b"connection", b"close")
_RETRY_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class Reason(NamedTuple):
    """What a reason means, and the statuses it comes with; none if it appears in rejections only."""

    meaning: str
    statuses: tuple[int, ...] = (400,)


REASONS: Final[Mapping[str, Reason]] = {
    "MALFORMED_JSON": Reason("The body is not JSON in UTF-8. NaN, infinities and halves of characters are mended."),
    "UNSUPPORTED_CONTENT_TYPE": Reason(
        "The body is of a type, or compressed in a way, the path does not take.", (415,)
    ),
    "REQUEST_TOO_LARGE": Reason(
        "The request is larger than 512 KiB, or holds more events than it may. Under `/v1` it is 400, as with Segment. "
        "A path with its query may have 8 KiB (414), a head 64 KiB and 100 fields (431).",
        (400, 413, 414, 431),
    ),
    "EMPTY_BATCH": Reason("The batch holds no event."),
    "EVENT_TOO_LARGE": Reason("One event is larger than 32 KiB."),
    "INVALID_TYPE": Reason("A JSON value has the wrong type, or an object nests too deep."),
    "UNKNOWN_FIELD": Reason("A member the schema does not know, outside `properties`."),
    "MISSING_FIELD": Reason("A required member is absent or empty."),
    "UNKNOWN_EVENT_TYPE": Reason("`eventType` names no known kind."),
    "INVALID_IDENTIFIER": Reason("An identifier is too long or holds control characters."),
    "PLACEHOLDER_ID": Reason("An id that stands for nobody, such as `undefined`, would join strangers."),
    "RESERVED_ID": Reason("An id that begins with `jm:` is the mesh's own, one with `ce:` a CloudEvent's."),
    "UNREADABLE_AMOUNT": Reason("The amount of a purchase cannot be read as a number."),
    "INVALID_TIME": Reason("A time is not RFC 3339 with an offset, or lies before the year 2000."),
    "TIME_IN_FUTURE": Reason("A time lies more than 24 hours after its receipt."),
    "VALUE_OUT_OF_RANGE": Reason("A number lies outside its range, or a word is none of those known."),
    "PATH_NOT_FOUND": Reason("There is no such path.", (404,)),
    "METHOD_NOT_ALLOWED": Reason("The path exists, the method does not; `Allow` lists those that do.", (405,)),
    "INVALID_PARAMETER": Reason("A query or path parameter is not understood."),
    "EVENT_NOT_FOUND": Reason("No event with this id was seen within the lifetime of receipts.", (404,)),
    "USER_NOT_FOUND": Reason("Nothing is known of this user.", (404,)),
    "VIDEO_NOT_FOUND": Reason("Nothing is known of this video.", (404,)),
    "INTERVENTION_NOT_FOUND": Reason(
        "There is no intervention with this id, or its record has passed its lifetime.", (404,)
    ),
    "DECISION_NOT_FOUND": Reason("There is no decision with this id, or its record has passed its lifetime.", (404,)),
    "FAILED_EVENT_NOT_FOUND": Reason("There is no failed event with this id.", (404,)),
    "INTERVENTION_ENDED": Reason("The intervention has already ended.", (409,)),
    "STILL_INVALID": Reason("The failed event would be refused again; `rejected` says why.", (409,)),
    "ERASURE_NOT_FOUND": Reason("There is no erasure with this id.", (404,)),
    "ERASURE_UNFINISHED": Reason("The erasure is still going on. Try again once it has a receipt.", (409,)),
    "EXPORT_NOT_FOUND": Reason(
        "There is no export with this id, it has expired, or somebody in it was erased.", (404,)
    ),
    "EXPORT_UNFINISHED": Reason("The data is not there yet. Try again once the export is ready.", (409,)),
    "TENANT_NOT_FOUND": Reason("There is no tenant of this name, or it is the default one.", (404,)),
    "USER_ERASED": Reason("The person was erased, and their events are refused and not kept."),
    "FEATURE_SCHEMA_MISMATCH": Reason("The feature vectors are of another schema than the live model takes.", (503,)),
    "MODEL_NOT_FOUND": Reason("There is no model of this version.", (404,)),
    "MODEL_UNUSABLE": Reason("The model is incomplete, damaged, or for other features; it got no stage.", (409,)),
    "MODELS_READ_ONLY": Reason("The registry of models cannot be written to.", (409,)),
    "STAGE_INVALID": Reason("A canary needs a share, a live model stays live, or there is nothing to go back to."),
    "VERSION_MISMATCH": Reason("Two services are of different versions. It passes with the upgrade.", (503,)),
    "BUFFER_FULL": Reason("The mesh holds as much as it may. Try again after the time given.", (429, 503)),
    "DEPENDENCY_UNAVAILABLE": Reason("A service cannot be reached now. Try again after the time given.", (503,)),
    "DEADLINE_TOO_SHORT": Reason(
        "A service did not answer in time, or the body did not come in time.", (408, 503, 504)
    ),
    "INTERNAL": Reason("A fault of ours. The trace id leads to its cause.", (500,)),
    "POISON": Reason("The event could be neither applied nor refused, and was kept as a failed event.", ()),
    "RATE_LIMITED": Reason(
        "The key or its tenant has sent and asked for as much as it may, and nothing of the request was taken; or one "
        "user sends more than a person can, and the event is not kept. Try again after the time given.",
        (429,),
    ),
    "TOO_MANY_STREAMS": Reason(
        "As many streams are open as may be: 503; of one address, tenant or user: 429. Poll, or try again later.",
        (429, 503),
    ),
    "ADDRESS_BUSY": Reason("One address has as much under way as one may. Try again after the time given.", (429,)),
    "TENANT_BUSY": Reason("One tenant has as much under way as one may. Try again after the time given.", (429,)),
    "KEY_REQUIRED": Reason("The mesh wants a key and the request has none.", (401,)),
    "KEY_UNKNOWN": Reason("What was sent as a key is none, or no key that is known.", (401,)),
    "KEY_EXPIRED": Reason("The key was valid until a time that has passed.", (401,)),
    "KEY_ROTATED": Reason("The key was replaced, and its grace period has passed. Use its successor.", (401,)),
    "KEY_REVOKED": Reason("The key was revoked.", (401,)),
    "TENANT_DELETED": Reason("The tenant of the key was deleted.", (401,)),
    "ORIGIN_NOT_ALLOWED": Reason("The key may not be used by pages of this origin.", (403,)),
    "NOT_PERMITTED": Reason("The key, or the role, does not allow this.", (403,)),
    "USER_PROOF_REQUIRED": Reason("A public key needs a token that proves who the user is.", (401,)),
    "USER_PROOF_INVALID": Reason(
        "The token that should prove who the user is proves nothing, has expired, or is about another user.", (401,)
    ),
    "SIGN_IN_REQUIRED": Reason("Nobody has signed in, or the session has ended.", (401,)),
    "SIGN_IN_FAILED": Reason(
        "The provider did not sign anybody in, or its answer proves nothing. Begin again.", (401,)
    ),
    "NO_ROLE": Reason("Who has signed in is in no group that has a role here.", (403,)),
    "TENANT_REQUIRED": Reason("Who signs in has roles in several tenants, and must choose one.", (403,)),
    "CSRF_TOKEN_INVALID": Reason("A change by somebody who has signed in lacks the token of the session.", (403,)),
    "HOST_NOT_ALLOWED": Reason(
        "Without keys the gateway serves its own machine only, by a name such as `localhost`.", (421,)
    ),
    "QUESTION_TOO_LARGE": Reason("The question would read more rows than it may. The text says what would fit."),
    "QUESTION_TOO_SLOW": Reason("The question took longer than it may, and was stopped. Ask about fewer days.", (504,)),
    "TOO_MANY_QUESTIONS": Reason("As many questions wait as may. Try again after the time given.", (429,)),
    "SEGMENT_NOT_FOUND": Reason("There is no saved segment with this id, or not any more.", (404,)),
    "CUSTOMER_SEGMENT_NOT_FOUND": Reason("There is no segment of customers with this name: there are eight.", (404,)),
    "SEGMENT_NAME_TAKEN": Reason("There is a saved segment of this name.", (409,)),
    "SEGMENT_CHANGED": Reason("Somebody else has changed the saved segment since. Look at it again.", (409,)),
    "TOO_MANY_SEGMENTS": Reason("There are as many saved segments as may be. Delete one first.", (409,)),
    "EXPERIMENT_NOT_FOUND": Reason("There is no experiment with this id.", (404,)),
    "EXPERIMENT_EXISTS": Reason("There is an experiment with this id.", (409,)),
    "EXPERIMENT_STATE_INVALID": Reason("The experiment is not in a state for this.", (409,)),
    "EXPERIMENT_CHANGED": Reason("Somebody else has just changed the experiment. Look at it again.", (409,)),
    "EXPERIMENT_HISTORY_FULL": Reason(
        "The experiment was changed as often as it may be. It can be ended, and not started again.", (409,)
    ),
    "TOO_MANY_EXPERIMENTS": Reason("There are as many experiments as may be.", (409,)),
    "INSIGHT_NOT_FOUND": Reason("There is no incident with this id, or not any more.", (404,)),
    "JOB_NOT_FOUND": Reason("There is no job with this id, or not any more.", (404,)),
    "JOB_UNFINISHED": Reason("A job of this kind is queued or running. Wait for its end, or cancel it.", (409,)),
    "JOB_KIND_NOT_AVAILABLE": Reason(
        "What this kind of job needs is not installed. docs/training.md says how it is.", (409,)
    ),
    "JOB_ENDED": Reason("The job is done or has failed, so it cannot be cancelled.", (409,)),
    "MALFORMED_REQUEST": Reason("What came is no request of HTTP/1.1. The connection is closed.", (400, 426, 505)),
}


class Rejected(msgspec.Struct, rename="camel"):
    """Why one event of a request was refused; the id is null where none was readable."""

    index: int
    event_id: str | None
    reason: str
    detail: str


class Problem(msgspec.Struct, rename="camel", omit_defaults=True):
    """The body of an answer that reports an error; the last three only where they apply.

    `error` is the detail once more, under the name that clients of the Open Inference Protocol read.
    """

    type: str
    title: str
    status: int
    detail: str
    reason: str
    trace_id: str
    rejected: list[Rejected] | msgspec.UnsetType = msgspec.UNSET
    services: list[str] | msgspec.UnsetType = msgspec.UNSET
    error: str | msgspec.UnsetType = msgspec.UNSET


def status(error: MeshError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, BodyTooSlow):
        return 408
    return _STATUS_OF_REASON.get(error.reason) or _STATUS_OF_CODE.get(error.code, 500)


def as_mesh_error(error: Exception, doing: str) -> MeshError:
    """The error to report to a client; an unexpected one is logged, and reported without its details."""
    if isinstance(error, grpc.aio.AioRpcError):
        return from_rpc_error(error)
    if isinstance(error, MeshError):
        return error
    _log.error("%s failed", doing, exc_info=error)
    return Internal("INTERNAL", INTERNAL_TEXT)


def problem(
    error: MeshError,
    trace_id: bytes,
    *,
    rejected: list[Rejected] | msgspec.UnsetType = msgspec.UNSET,
    services: list[str] | msgspec.UnsetType = msgspec.UNSET,
    code: int | None = None,
) -> Problem:
    """The problem that reports an error; `code` replaces the usual status."""
    if isinstance(error, Internal):  # a peer's internal error is not for clients either
        error = Internal("INTERNAL", INTERNAL_TEXT)
    reason = error.reason
    title = reason.replace("_", " ").capitalize()
    code = code or status(error)
    return Problem(f"/docs#{reason}", title, code, error.detail, reason, trace_id.hex(), rejected, services)


def answer(
    error: MeshError,
    trace_id: bytes,
    *,
    rejected: list[Rejected] | msgspec.UnsetType = msgspec.UNSET,
    services: list[str] | msgspec.UnsetType = msgspec.UNSET,
    headers: Headers = (),
    code: int | None = None,
    is_inference: bool = False,
) -> Answer:
    """The answer that reports an error as a problem; `is_inference` gives it the member `error`."""
    body = problem(error, trace_id, rejected=rejected, services=services, code=code)
    if is_inference:
        body.error = body.detail
    if body.status in RETRY_STATUSES:
        seconds = error.retry_after_seconds or _RETRY_SECONDS
        headers = (*headers, (b"retry-after", b"%d" % max(1, math.ceil(seconds))))
    if body.status == UNAUTHENTICATED_STATUS:
        headers = (*headers, (b"www-authenticate", b"Bearer"))
    if body.reason == "REQUEST_TOO_LARGE" or isinstance(error, BodyTooSlow):
        # The unread rest of the body must not be mistaken for the next request.
        headers = (*headers, CONNECTION_CLOSE)
    return Answer(body.status, msgspec.json.encode(body), CONTENT_TYPE, headers)
