"""What a process remembers is not written down when it crashes."""

import subprocess
import sys

PROGRAM = """
import resource
from mesh.process.lifecycle import dump_no_core
resource.setrlimit(resource.RLIMIT_CORE, {before})
dump_no_core()
print(resource.getrlimit(resource.RLIMIT_CORE))
"""


def limits_after(before: str) -> str:
    """The soft and the hard limit that a process has which began with these."""
    program = PROGRAM.format(before=before)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout.strip()


def test_no_core_is_dumped_whatever_the_limit_was() -> None:
    assert limits_after("(0, resource.RLIM_INFINITY)") == "(1, 1)"
    assert limits_after("(1 << 30, 1 << 30)") == "(1, 1)"
    assert limits_after("(0, 0)") == "(0, 0)"
