"""Certificates of an authority made for a test, in files as they are mounted."""

import datetime as dt
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trustme

from mesh.rpc.tls import Files, TlsSettings

NAMES: Final = ("localhost", "127.0.0.1", "127.0.0.2", "127.0.0.3", "mesh.test")


def issue(
    folder: Path,
    authority: trustme.CA,
    *,
    believed: Sequence[trustme.CA] = (),
    names: Sequence[str] = NAMES,
    is_expired: bool = False,
) -> Files:
    """Writes a certificate, its key and the authorities that are believed (its own) into a folder.

    What was there is gone, file by file.
    """
    expires = dt.datetime(2020, 1, 1, tzinfo=dt.UTC) if is_expired else None
    issued = authority.issue_cert(*names, not_after=expires)
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    files = Files(*(str(folder / name) for name in ("tls.crt", "tls.key", "ca.crt")))
    authorities = b"".join(each.cert_pem.bytes() for each in believed or (authority,))
    contents = (chain, issued.private_key_pem.bytes(), authorities)
    folder.mkdir(exist_ok=True, parents=True)
    for file, content in zip(files, contents, strict=True):
        put(Path(file), content)
    return files


def put(file: Path, content: bytes) -> None:
    """Writes a file in one step."""
    new = file.with_suffix(".new")
    new.write_bytes(content)
    os.replace(new, file)  # noqa: PTH105 - says that it takes the other's place


def environment(files: Files) -> dict[str, str]:
    """What tells a process of its files."""
    names = ("CERTIFICATE", "KEY", "CA")
    return {f"JOURNEYMESH_TLS_{name}_FILE": file for name, file in zip(names, files, strict=True)}


def settings(files: Files) -> TlsSettings:
    """The same as settings."""
    return TlsSettings(*files)
