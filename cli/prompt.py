"""`journeymesh prompt`: checks a prompt's document, and shows what a language model is told by it (`check`)."""

import argparse
from pathlib import Path

from rich.console import Console

from services.intervention.language.domain.prompt import PromptError, prompt_of
from services.intervention.policy.adapters.yaml import parse
from services.intervention.policy.domain.interpretation import PolicyError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommand and its options."""
    doing = parser.add_subparsers(dest="doing", required=True)
    check = doing.add_parser("check", help="check a prompt's document and show what a language model is told by it")
    check.add_argument("file", type=Path, help="the document, in YAML")


def main(arguments: argparse.Namespace) -> int:
    """Runs the subcommand; returns the exit code."""
    console = Console(highlight=False)
    try:
        prompt = prompt_of(parse(arguments.file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, PolicyError, PromptError) as error:
        console.print(f"journeymesh: {arguments.file} is not a prompt: {error}", soft_wrap=True, markup=False)
        return 1
    console.print(f"Prompt {prompt.version} ({prompt.hash[:12]}), answers of up to {prompt.most_tokens} tokens:")
    console.print(prompt.text, soft_wrap=True, markup=False)
    return 0
