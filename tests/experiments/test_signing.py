"""A key that cannot be used stops the process with a sentence, before it serves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mesh.process.lifecycle import CANNOT_RUN
from mesh.settings import SettingError
from services.experiments.adapters.signing import KeySigner


def test_a_file_without_a_key_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("no key")
    with pytest.raises(SettingError, match=r"key\.pem holds no private key in PEM without a password\.$"):
        KeySigner(tmp_path / "key.pem")
    with pytest.raises(SettingError, match=r"absent/key\.pem cannot be used: No such file or directory\.$"):
        KeySigner(tmp_path / "absent" / "key.pem")


def test_the_process_ends_with_that_sentence(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("no key")
    environment = os.environ | {
        "JOURNEYMESH_EXPERIMENTS_KEY_FILE": str(tmp_path / "key.pem"),
        "JOURNEYMESH_EXPERIMENTS_LISTEN": "127.0.0.1:0",
        "JOURNEYMESH_REDIS_URL": "redis://127.0.0.1:1/0",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "services.experiments"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == CANNOT_RUN
    assert ended.stderr.splitlines()[-1].startswith("journeymesh: ")
    assert "Traceback" not in ended.stderr
