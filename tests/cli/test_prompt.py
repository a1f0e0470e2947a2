"""`journeymesh prompt`: whether a document is a prompt, and what a model is told by it."""

import argparse
from pathlib import Path

import pytest

from cli import prompt
from services.intervention.language.domain.prompt import COPYWRITING
from tests.mesh.test_documents import MERGES

SHIPPED = Path(__file__).parents[2] / "prompts" / "wording-1.yaml"


def command(path: Path) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser()
    prompt.add_arguments(parser)
    return prompt.main(parser.parse_args(["check", str(path)]))


def test_a_prompt_is_shown_as_a_model_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(SHIPPED) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"Prompt wording-1 ({COPYWRITING.hash[:12]}), answers of up to 120 tokens:\n")
    assert COPYWRITING.text in printed


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("version: x\ntext: [", "no YAML at line 2"),
        ("version: x\ntext: !!bool tea", "no YAML"),
        (MERGES, "means more than 20,000 values"),
        ("version: x\ntext: Word one short offer of help, as warmly as you can.", "{data} once"),
        (None, "No such file"),
    ],
)
def test_what_is_no_prompt_is_refused_with_the_reason(
    text: str | None, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text)
    assert command(path) == 1
    assert why in capsys.readouterr().out
