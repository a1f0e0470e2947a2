"""Why the domain refuses a change of keys or tenants."""

import enum


class Cause(enum.StrEnum):
    """What is wrong; values as in `ErrorReason`."""

    MISSING = "MISSING_FIELD"
    OUT_OF_RANGE = "VALUE_OUT_OF_RANGE"
    UNKNOWN_KEY = "KEY_NOT_FOUND"
    KEY_EXISTS = "KEY_EXISTS"
    ENDED = "KEY_ENDED"
    TOO_MANY = "TOO_MANY_KEYS"
    UNKNOWN_TENANT = "TENANT_NOT_FOUND"
    TENANT_EXISTS = "TENANT_EXISTS"
    TOO_MANY_TENANTS = "TOO_MANY_TENANTS"


class Refusal(Exception):
    """A change that is not made; the text is a sentence for whoever asked for it."""

    def __init__(self, cause: Cause, sentence: str) -> None:
        super().__init__(sentence)
        self.cause = cause
