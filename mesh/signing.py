"""Keys that sign, each in a file: Ed25519, PEM without a password."""

import os
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_OWNER_ONLY: Final = 0o600


class SigningKeyError(Exception):
    """The file holds no such key; the text is a sentence for the operator."""


def signing_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a file. A missing one is made, for the owner alone, by one of those who look at the same time.

    Raises:
        SigningKeyError: the file holds something else.
        OSError: it cannot be read or made.
    """
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY), "wb") as file:
            file.write(
                Ed25519PrivateKey.generate().private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
            )
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        pass
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:  # no PEM, or one with a password
        message = f"{path} holds no private key in PEM without a password."
        raise SigningKeyError(message) from error
    if not isinstance(key, Ed25519PrivateKey):
        message = f"The key in {path} is not one of Ed25519."
        raise SigningKeyError(message)
    return key
