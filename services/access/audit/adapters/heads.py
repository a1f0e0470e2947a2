"""Signed heads in a file: a line of JSON each, behind a first line with the public key. Lines are only ever added."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from mesh.signing import SigningKeyError, signing_key
from services.access.audit.domain.entry import EMPTY, HASH_BYTES, Head

_VERSION: Final = 1
_SIGNED_AS: Final = b"journeymesh audit head\n"
_RECEIPT_SIGNED_AS: Final = b"journeymesh erasure receipt\n"
"""Each stands before what is signed, so that the signature means nothing else."""
_ENDING: Final = b"\n"


class HeadsError(Exception):
    """A file of heads, or its key, cannot be used or was changed; the text is a sentence for the operator."""


@dataclasses.dataclass(frozen=True, slots=True)
class Heads:
    """What a file of heads says; each signature was checked."""

    public_key: str
    """As 64 hexadecimal digits. Whoever verifies compares it with what they know: the file alone could be made anew."""
    hashes: Mapping[int, bytes]
    """Of entries, by their numbers."""
    newest: Head
    """The last one in the file; `EMPTY` if there is none."""


class HeadsFile:
    """Appends signed heads to a file."""

    def __init__(self, path: Path, key: Ed25519PrivateKey, newest: Head) -> None:
        self._path = path
        self._key = key
        self._newest = newest

    @property
    def newest(self) -> Head:
        """See `services.access.audit.ports.SignedHeads`."""
        return self._newest

    def append(self, head: Head, time_us: int) -> None:
        """See `services.access.audit.ports.SignedHeads`."""
        said = {"version": _VERSION, "sequence": head.sequence, "hash": head.hash.hex(), "timeUs": time_us}
        _append(self._path, {**said, "signature": self._key.sign(_signed(said)).hex()})
        self._newest = head

    def sign_receipt(self, receipt_hash: bytes) -> tuple[bytes, bytes]:
        """See `services.access.audit.ports.Signer`."""
        return self._key.sign(_RECEIPT_SIGNED_AS + receipt_hash), self._key.public_key().public_bytes_raw()


def verify_receipt(receipt_hash: bytes, signature: bytes, public_key: bytes) -> None:
    """Returns if a receipt was signed with a key.

    Raises:
        HeadsError: it was not.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, _RECEIPT_SIGNED_AS + receipt_hash)
    except (ValueError, InvalidSignature) as error:
        message = "The receipt was changed, or was not signed with this key."
        raise HeadsError(message) from error


def opened(path: Path, key_path: Path) -> HeadsFile:
    """A file of heads and its key, which are made if they are missing.

    Raises:
        HeadsError: one of them cannot be used.
    """
    try:
        key = signing_key(key_path)
        if not path.exists() or not path.stat().st_size:
            _append(path, {"version": _VERSION, "publicKey": _public_digits(key)})
        _drop_unfinished(path)
    except SigningKeyError as error:
        raise HeadsError(str(error)) from error
    except OSError as error:
        message = f"{error.filename} cannot be used: {error.strerror}."
        raise HeadsError(message) from error
    heads = read(path)
    if heads.public_key != _public_digits(key):
        message = f"The heads in {path} were signed with another key than that of {key_path}."
        raise HeadsError(message)
    return HeadsFile(path, key, heads.newest)


def read(path: Path) -> Heads:
    """The heads of a file. A last line without its end was not finished, and is left out.

    Raises:
        HeadsError: it cannot be read, or a line is damaged, not signed by the file's key, or contradicts another.
    """
    try:
        lines = path.read_bytes().split(_ENDING)[:-1]
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}."
        raise HeadsError(message) from error
    hashes: dict[int, bytes] = {}
    public_key, newest = "", EMPTY
    for number, line in enumerate(lines, 1):
        try:
            if number == 1:
                public_key = str(json.loads(line)["publicKey"])
                continue
            newest = _head(line, public_key)
        except (ValueError, KeyError, TypeError, InvalidSignature) as error:
            message = f"Line {number} of {path} was changed, or was not signed with the key in its first line."
            raise HeadsError(message) from error
        if hashes.setdefault(newest.sequence, newest.hash) != newest.hash:
            message = f"Line {number} of {path} names another hash for entry {newest.sequence} than a line before."
            raise HeadsError(message)
    if not public_key:
        message = f"{path} holds no heads: its first line has no public key."
        raise HeadsError(message)
    return Heads(public_key, hashes, newest)


def _head(line: bytes, public_key: str) -> Head:
    said: dict[str, Any] = json.loads(line)
    signature = bytes.fromhex(said.pop("signature"))
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(signature, _signed(said))
    head = Head(int(said["sequence"]), bytes.fromhex(said["hash"]))
    if len(head.hash) != HASH_BYTES:
        raise ValueError
    return head


def _signed(said: Mapping[str, Any]) -> bytes:
    return _SIGNED_AS + json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def _public_digits(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


def _append(path: Path, line: Mapping[str, Any]) -> None:
    """Adds a line in one write, and returns once it is on the disk."""
    with path.open("ab", buffering=0) as file:
        file.write(json.dumps(line).encode() + _ENDING)
        os.fsync(file.fileno())


def _drop_unfinished(path: Path) -> None:
    """Removes what a process that was killed left of a line."""
    with path.open("r+b") as file:
        content = file.read()
        if not content.endswith(_ENDING):
            file.truncate(content.rfind(_ENDING) + 1)
