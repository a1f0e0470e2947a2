"""Members and parameters that are known by their names to hold something secret or personal."""

import functools
import re
from typing import Final

from services.ingest.accept.domain.masking.kinds import Masking, folded

_LONGEST: Final = 64

# A folded name that ends with one of these, as `customer_password` or `X-Api-Key`.
ENDINGS: Final = {
    "secret": (
        "password",
        "passwd",
        "passphrase",
        "passcode",
        "pwd",
        "secret",
        "apikey",
        "accesskey",
        "privatekey",
        "secretkey",
        "credential",
        "credentials",
        "authorization",
        "cookie",
        "cookies",
    ),
    "token": ("token", "jwt", "bearer"),
    "card": ("cardnumber", "ccnumber", "creditcard", "cvv", "cvv2", "cvc", "cvc2"),
    "iban": ("iban",),
    "ssn": ("socialsecuritynumber",),
}
# A folded name that is one of these.
WHOLE: Final = {"secret": ("pin", "otp", "auth"), "ssn": ("ssn",)}
# Where a name of these has digits, they are a phone number even without separators. Their other values stay.
PHONE_ENDINGS: Final = ("phone", "phonenumber", "telephone", "mobile", "mobilenumber", "msisdn", "whatsapp")
PHONE_WHOLE: Final = ("tel", "fax", "cell")
# They say whether there is a value, and are none themselves.
EMPTY: Final = frozenset(("true", "false", "null", "none", "undefined", '""'))
# Parameters of addresses that also have harmless meanings: masked only if the value looks random.
DOUBTFUL_PARAMETERS: Final = (
    "code",
    "key",
    "sig",
    "signature",
    "xamzsignature",
    "xgoogsignature",
    "ticket",
)
LISTED: Final = frozenset(
    (
        *(word for words in (*ENDINGS.values(), *WHOLE.values()) for word in words),
        *PHONE_ENDINGS,
        *PHONE_WHOLE,
    )
)
"""All of these but the doubtful ones."""


def kind_of_name(name: str, masking: Masking) -> str:
    """The kind of what a member of this name holds, whatever it looks like; empty if the name says nothing."""
    return _kind_of_name(name, masking) if len(name) <= _LONGEST else ""


def is_of_phone(name: str) -> bool:
    """Whether digits in a member of this name are a phone number."""
    return len(name) <= _LONGEST and _is_of_phone(name)


# Remembered, as a product has few names.
@functools.lru_cache(maxsize=2048)
def _kind_of_name(name: str, masking: Masking) -> str:
    short = folded(name)
    if short in masking.names:
        return "secret"
    found = _NAME.search(short)
    kind = found.lastgroup if found else None
    return kind if kind in masking.kinds else ""


@functools.lru_cache(maxsize=2048)
def _is_of_phone(name: str) -> bool:
    short = folded(name)
    return short in PHONE_WHOLE or short.endswith(PHONE_ENDINGS)


def _groups() -> str:
    endings = (f"(?P<{kind}>{'|'.join(words)}{_whole(kind)})" for kind, words in ENDINGS.items())
    return f"(?:{'|'.join(endings)})\\Z"


def _whole(kind: str) -> str:
    return "".join(f"|\\A{word}" for word in WHOLE.get(kind, ()))


_NAME: Final = re.compile(_groups())
