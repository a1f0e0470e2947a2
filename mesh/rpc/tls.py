"""Mutual TLS between the processes of the mesh: a certificate each, one authority for all, renewed while they run.

A server demands the caller's certificate, with one of the names that may call if those are listed; a caller checks the
server's name. The files are checked whenever a connection is made or a call begins; files that do not fit together, as
in the middle of a renewal, leave the old ones in force.
"""

import dataclasses
from pathlib import Path
from typing import NamedTuple, Self

import grpc

from mesh.rpc.callers import ANYBODY, Callers
from mesh.rpc.certificate_files import Renewed, expires_at, server_context
from mesh.settings import SettingError, setting


@dataclasses.dataclass(frozen=True)
class TlsSettings:
    """A process's identity, and whom it trusts. All three or none: then calls are in plain text."""

    certificate_file: str = setting(
        "JOURNEYMESH_TLS_CERTIFICATE_FILE",
        "",
        "The process's certificate and the chain up to the authority, as PEM. May be renewed in place.",
    )
    key_file: str = setting("JOURNEYMESH_TLS_KEY_FILE", "", "The certificate's private key, as PEM.")
    ca_file: str = setting(
        "JOURNEYMESH_TLS_CA_FILE", "", "The authorities whose certificates are trusted, callers' included, as PEM."
    )
    callers: str = setting(
        "JOURNEYMESH_TLS_CALLERS",
        "",
        "Names, separated by spaces, of which a caller's certificate must have one; empty: any certificate will do. "
        "Written as `gateway=name`, the certificate may call only the RPCs that list this process.",
    )

    def __post_init__(self) -> None:
        """Raises `SettingError` if a file is missing, cannot be read or does not fit the others."""
        if any(self.files) and not all(self.files):
            raise SettingError("JOURNEYMESH_TLS_CERTIFICATE_FILE, _KEY_FILE and _CA_FILE go together: all or none.")
        if any(self.files):
            read(self.files)
        elif self.callers:
            raise SettingError("JOURNEYMESH_TLS_CALLERS needs the TLS files: without them callers show no names.")

    @property
    def files(self) -> "Files":
        """The three files."""
        return Files(self.certificate_file, self.key_file, self.ca_file)


class Files(NamedTuple):
    """The paths of certificate, key and authorities."""

    certificate: str
    key: str
    ca: str


class Identity(NamedTuple):
    """Certificate, key and authorities as PEM; they fit together."""

    certificate: bytes
    key: bytes
    ca: bytes
    expires_at: float
    """When the certificate expires, in Unix seconds."""

    def as_server(self) -> grpc.ServerCertificateConfiguration:
        """A server's configuration."""
        return grpc.ssl_server_certificate_configuration([(self.key, self.certificate)], self.ca)

    def as_client(self) -> grpc.ChannelCredentials:
        """A caller's credentials."""
        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)


class Tls:
    """The identity of this process, as its files are now."""

    def __init__(self, files: Files, callers: Callers = ANYBODY) -> None:
        self.callers = callers
        self._renewed = Renewed(files, lambda: read(files))

    @classmethod
    def wanted(cls, settings: TlsSettings) -> Self | None:
        """None without files."""
        return cls(settings.files, Callers.of(settings.callers)) if any(settings.files) else None

    def identity(self) -> Identity:
        """The newest consistent one; the same object as long as nothing has changed."""
        return self._renewed.current()

    def server_credentials(self) -> grpc.ServerCredentials:
        """Credentials of a server that demands its callers'; every new connection uses the current files."""
        return grpc.dynamic_ssl_server_credentials(
            self.identity().as_server(), lambda: self.identity().as_server(), require_client_authentication=True
        )


def read(files: Files) -> Identity:
    """Reads and checks the files.

    Raises:
        SettingError: one cannot be read, or they do not fit together.
    """
    try:
        certificate, key, ca = (Path(file).read_bytes() for file in files)
    except OSError as error:
        message = f"The TLS file {error.filename} cannot be read: {error.strerror}."
        raise SettingError(message) from error
    context = server_context(files.certificate, files.key)
    try:
        context.load_verify_locations(files.ca)
    except OSError as error:
        message = f"The TLS file {files.ca} holds no certificates in PEM."
        raise SettingError(message) from error
    return Identity(certificate, key, ca, expires_at(files.certificate))
