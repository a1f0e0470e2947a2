"""Signs what is handed out, by Ed25519 with a key in a file."""

from pathlib import Path

from comparison.assignment import SIGNED_AS
from mesh.settings import SettingError
from mesh.signing import SigningKeyError, signing_key


class KeySigner:
    """Signs with the key in a file; a missing one is made, for the owner alone.

    Raises:
        SettingError: the file holds no such key, or cannot be used.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._key = signing_key(path)
        except SigningKeyError as error:
            raise SettingError(str(error)) from error
        except OSError as error:
            message = f"The key in {path} cannot be used: {error.strerror}."
            raise SettingError(message) from error
        self._public_key = self._key.public_key().public_bytes_raw()

    def sign(self, payload: bytes) -> tuple[bytes, bytes]:
        """See `services.experiments.ports.Signer`."""
        return self._key.sign(SIGNED_AS + payload), self._public_key
