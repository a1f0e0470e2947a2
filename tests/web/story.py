"""Stories that a browser tells: a script of this folder, and what it printed."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any, Final

from tests.clients.story import NODE

_FOLDER: Final = Path(__file__).parent
_SECONDS: Final = 240


def told(story: str, url: str, **settings: object) -> Any:
    """What a story says, told by Chromium against a gateway."""
    chromium = shutil.which("chromium")
    assert chromium, "Chromium is missing: apt-get install chromium"
    command = [str(NODE), str(_FOLDER / f"{story}.mjs"), chromium, url, json.dumps(settings)]
    telling = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        said, faults = telling.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(telling.pid, signal.SIGKILL)  # the browser's processes too
        raise
    assert telling.returncode == 0, faults
    return json.loads(said)
