"""When a certificate ends, against another library's reading."""

import asyncio
import contextlib
import datetime as dt
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from mesh.observability.metrics import Metrics
from mesh.process.certificate import report_expiry
from mesh.rpc.tls import Files, Tls
from mesh.settings import SettingError

# Written in two digits of the year, and in four.
ENDS = [dt.datetime(2030, 1, 2, 3, 4, 5, tzinfo=dt.UTC), dt.datetime(2061, 1, 1, tzinfo=dt.UTC)]


def identity_files(folder: Path) -> Files:
    return Files(*(str(folder / name) for name in ("certificate", "key", "ca")))


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("key_type", list(trustme.KeyType))
def test_an_identity_expires_with_the_first_certificate(
    tmp_path: Path, end: dt.datetime, key_type: trustme.KeyType
) -> None:
    authority = trustme.CA(key_type=key_type)
    own = authority.issue_cert("scoring.mesh", "127.0.0.1", not_after=end, key_type=key_type)
    chain = b"".join([blob.bytes() for blob in own.cert_chain_pems] + [authority.cert_pem.bytes()])
    assert x509.load_pem_x509_certificate(own.cert_chain_pems[0].bytes()).not_valid_after_utc == end
    files = identity_files(tmp_path)
    Path(files.certificate).write_bytes(b"a comment\n" + chain)
    own.private_key_pem.write_to_path(files.key)
    authority.cert_pem.write_to_path(files.ca)
    assert Tls(files).identity().expires_at == end.timestamp()


def test_what_is_no_certificate_is_refused(tmp_path: Path) -> None:
    files = identity_files(tmp_path)
    for file in files:
        Path(file).write_bytes(b"-----BEGIN PRIVATE KEY-----")
    with pytest.raises(SettingError, match="not a certificate"):
        Tls(files)


async def test_the_expiry_of_the_own_certificate_is_reported_and_nothing_without_one(tmp_path: Path) -> None:
    authority = trustme.CA()
    own = authority.issue_cert("scoring.mesh", not_after=ENDS[0])
    files = identity_files(tmp_path)
    own.cert_chain_pems[0].write_to_path(files.certificate)
    own.private_key_pem.write_to_path(files.key)
    authority.cert_pem.write_to_path(files.ca)
    metrics = Metrics()
    await report_expiry(None, metrics)
    assert b"certificate_expiry" not in metrics.render()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(report_expiry(Tls(files), metrics), 0.05)
    name = "journeymesh_certificate_expiry_timestamp_seconds"
    sample = next(line for line in metrics.render().decode().splitlines() if line.startswith(name))
    assert float(sample.removeprefix(name)) == ENDS[0].timestamp()
