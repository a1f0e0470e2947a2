"""Keys that sign, each in a file: Ed25519, PEM without a password."""

import contextlib
import os
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class SigningKeyError(Exception):
    """The file holds no such key; the text is a sentence for the operator."""


def signing_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a file. A missing one is made, for the owner alone, by one of those who look at the same time.

    Raises:
        SigningKeyError: the file holds something else.
        OSError: it cannot be read or made.
    """
    if not path.exists():
        _make(path)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:  # no PEM, or one with a password
        message = f"{path} holds no private key in PEM without a password."
        raise SigningKeyError(message) from error
    if not isinstance(key, Ed25519PrivateKey):
        message = f"The key in {path} is not one of Ed25519."
        raise SigningKeyError(message)
    return key


def _make(path: Path) -> None:
    """Writes a new key beside the file and puts it there whole, unless somebody else has by then."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.") as file:  # for the owner alone
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(file.name, path)
