"""When a certificate ends, and telling it of the process's own."""

import asyncio
import datetime as dt
import re
import ssl
from collections.abc import Iterator
from typing import Final

from mesh import registry
from mesh.metrics import Metrics
from mesh.tls import Tls

_LOOK_SECONDS: Final = 5.0
_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
# Tags of X.509 in DER.
_SEQUENCE: Final = 0x30
_FORMATS: Final = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}


async def tell_end(tls: Tls | None, metrics: Metrics) -> None:
    """Tells when the process's certificate ends, until it is cancelled; nothing where it has none."""
    while tls is not None:
        metrics.tell(registry.CERTIFICATE_EXPIRY, end_seconds(tls.identity().certificate))
        await asyncio.sleep(_LOOK_SECONDS)


def end_seconds(pem: bytes) -> float:
    """When the first certificate of a file ends: Unix seconds.

    Raises:
        ValueError: it is no certificate.
    """
    found = _PEM.search(pem)
    if found is None:
        raise ValueError("There is no certificate in PEM.")
    ((_, certificate),) = _members(ssl.PEM_cert_to_DER_cert(found[0].decode("ascii")))
    signed = next(_members(certificate))[1]
    # Signature algorithm, issuer, validity, subject ...; before them stand version and number, which are no sequences.
    _, _, validity, *_ = (content for tag, content in _members(signed) if tag == _SEQUENCE)
    _, (tag, end) = _members(validity)
    return dt.datetime.strptime(end.decode("ascii"), _FORMATS[tag]).replace(tzinfo=dt.UTC).timestamp()


def _members(der: bytes) -> Iterator[tuple[int, bytes]]:
    """The members of a sequence in DER: tag and content."""
    while der:
        tag, length, start = der[0], der[1], 2
        if length > 0x7F:  # so many bytes that tell the length
            start += length & 0x7F
            length = int.from_bytes(der[2:start], "big")
        yield tag, der[start : start + length]
        der = der[start + length :]
