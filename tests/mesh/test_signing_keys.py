"""Keys that sign: a file of them is made once, and nobody reads it half written."""

import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mesh.signing import SigningKeyError, signing_key


def test_all_who_look_at_the_same_time_get_one_key_and_leave_one_file(tmp_path: Path) -> None:
    start = threading.Barrier(8)

    def looked(path: Path) -> bytes:
        start.wait()
        return signing_key(path).public_key().public_bytes_raw()

    for number in range(50):
        path = tmp_path / str(number) / "key.pem"
        path.parent.mkdir()
        with ThreadPoolExecutor(8) as looking:
            assert len(set(looking.map(looked, [path] * 8))) == 1
        assert [*path.parent.iterdir()] == [path]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("no key")
    with pytest.raises(SigningKeyError, match="holds no private key"):
        signing_key(path)
