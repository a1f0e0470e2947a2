"""The certificate that clients see, from files that may be renewed while the gateway runs."""

import ssl
from pathlib import Path
from typing import Final, NamedTuple, Self

from mesh.rpc.certificate_files import Renewed, expires_at, server_context
from mesh.settings import SettingError

_PROTOCOLS: Final = ("http/1.1",)


class Certificate(NamedTuple):
    """What a new connection is secured with."""

    context: ssl.SSLContext
    expires_at: float
    """When the certificate expires, in Unix seconds."""


class Certificates:
    """The certificate, as its files are now."""

    def __init__(self, certificate_file: str, key_file: str) -> None:
        """Reads the files.

        Raises:
            OSError: one is not there.
            SettingError: one cannot be read, or they do not fit together.
        """
        self._renewed = Renewed((certificate_file, key_file), lambda: read(certificate_file, key_file))

    @classmethod
    def wanted(cls, certificate_file: str, key_file: str) -> Self | None:
        """None without files."""
        return cls(certificate_file, key_file) if certificate_file else None

    def identity(self) -> Certificate:
        """The newest that fits its key; the same object as long as nothing has changed."""
        return self._renewed.current()


def read(certificate_file: str, key_file: str) -> Certificate:
    """Reads and checks the files.

    Raises:
        SettingError: one cannot be read, or they do not fit together.
    """
    try:
        for file in (certificate_file, key_file):
            Path(file).read_bytes()
    except OSError as error:
        message = f"The TLS file {error.filename} cannot be read: {error.strerror}."
        raise SettingError(message) from error
    context = server_context(certificate_file, key_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(_PROTOCOLS)
    return Certificate(context, expires_at(certificate_file))
