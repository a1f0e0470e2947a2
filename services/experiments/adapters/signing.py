"""Signs what is handed out, by Ed25519 with a key in a file."""

import os
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.settings import SettingError

SIGNED_AS: Final = b"journeymesh.experiments.1\n"
"""Stands before what is signed, so that the signature means nothing else."""
_OWNER_ONLY: Final = 0o600


class KeySigner:
    """Signs with the key in a file; a missing one is made, for the owner alone.

    Raises:
        SettingError: the file holds no such key, or cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._key = _key(path)
        self._public_key = self._key.public_key().public_bytes_raw()

    def sign(self, payload: bytes) -> tuple[bytes, bytes]:
        """See `services.experiments.ports.Signer`."""
        return self._key.sign(SIGNED_AS + payload), self._public_key


def _key(path: Path) -> Ed25519PrivateKey:
    try:
        if not path.exists():
            _make(path)
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        message = f"The key in {path} cannot be used: {error.strerror}."
        raise SettingError(message) from error
    except (ValueError, TypeError) as error:  # no PEM, or one with a password
        message = f"{path} holds no private key in PEM without a password."
        raise SettingError(message) from error
    if not isinstance(key, Ed25519PrivateKey):
        message = f"The key in {path} is not one of Ed25519."
        raise SettingError(message)
    return key


def _make(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
