"""Certificates in files that may be renewed while the process runs."""

import _ssl
import contextlib
import logging
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from mesh.settings import SettingError

Content = TypeVar("Content")
Stamps = tuple[tuple[int, int, int], ...]
"""Inode, time and size per file: they change when a file does."""

_log = logging.getLogger(__name__)


class Renewed(Generic[Content]):
    """What was read from files that belong together, read again when they change.

    Files that do not fit together, as in the middle of a renewal, leave the old content in force.
    """

    def __init__(self, files: Sequence[str], read: Callable[[], Content]) -> None:
        """Reads the files.

        Raises:
            OSError: one is not there.
            SettingError: `read` cannot use them.
        """
        self._paths = [Path(file) for file in files]
        self._read = read
        self._stamps = _stamps(self._paths)
        self._content = read()

    def current(self) -> Content:
        """The newest consistent content; the same object as long as nothing has changed."""
        with contextlib.suppress(OSError):  # a file that is being replaced
            stamps = _stamps(self._paths)
            if stamps != self._stamps:
                self._renew(stamps)
        return self._content

    def _renew(self, stamps: Stamps) -> None:
        try:
            content = self._read()
        except SettingError as error:
            _log.warning("the old certificate stays in force: %s", error)
        else:
            if _stamps(self._paths) != stamps:
                return  # changed while being read: retried next time
            self._content = content
            _log.info("the certificate was renewed")
        self._stamps = stamps


def server_context(certificate_file: str, key_file: str) -> ssl.SSLContext:
    """A server's context with this certificate.

    Raises:
        SettingError: the files are not a certificate and its key, or cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # An encrypted key is refused; without a password the terminal would be asked.
        context.load_cert_chain(certificate_file, key_file, password=lambda: b"")
    except OSError as error:
        message = f"The TLS files {certificate_file} and {key_file} are not a certificate and its key in PEM."
        raise SettingError(message) from error
    return context


def expires_at(certificate_file: str) -> float:
    """When the file's first certificate expires, in Unix seconds.

    The ssl module decodes only the certificates of authorities and of verified peers publicly. Its own tests decode any
    with this function, since Python 2.6; the alternatives are another dependency in every image, or an X.509 parser.
    """
    return ssl.cert_time_to_seconds(_ssl._test_decode_cert(certificate_file)["notAfter"])  # type: ignore[attr-defined] # noqa: SLF001


def _stamps(paths: Sequence[Path]) -> Stamps:
    """The stamps of the files.

    Raises:
        OSError: one is not there.
    """
    stats = [path.stat() for path in paths]
    return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats)
