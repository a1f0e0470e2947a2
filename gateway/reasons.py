"""Which reasons routes answer with, in the groups they come in."""

from typing import Final

CALLS: Final = ("DEPENDENCY_UNAVAILABLE", "DEADLINE_TOO_SHORT")
BODY: Final = ("MALFORMED_JSON", "INVALID_TYPE", "UNKNOWN_FIELD", "UNSUPPORTED_CONTENT_TYPE", "REQUEST_TOO_LARGE")
EVENT: Final = (
    *BODY,
    "EVENT_TOO_LARGE",
    "MISSING_FIELD",
    "UNKNOWN_EVENT_TYPE",
    "INVALID_IDENTIFIER",
    "INVALID_TIME",
    "TIME_IN_FUTURE",
    "VALUE_OUT_OF_RANGE",
    "RATE_LIMITED",
    "BUFFER_FULL",
    *CALLS,
)
USER: Final = ("USER_NOT_FOUND", *CALLS)
