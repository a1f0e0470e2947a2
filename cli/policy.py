"""`journeymesh policy FILE`: whether a document is a policy, and what it allows."""

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("file", type=Path, help="the document, in YAML")


def main(arguments: argparse.Namespace) -> int:
    """Checks the document and tells what it says; the command's exit code."""
    from services.intervention.adapters.policy_yaml import parse  # not needed by the other commands
    from services.intervention.domain.interpretation import PolicyError, policy_of

    console = Console(highlight=False)
    try:
        policy = policy_of(parse(arguments.file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, PolicyError) as error:
        console.print(f"journeymesh: {arguments.file} is no policy: {error}", soft_wrap=True, markup=False)
        return 1
    table = Table(title=f"Policy {policy.version}", title_justify="left")
    for heading in ("action", "need", "channels", "by", "caps that count it"):
        table.add_column(heading, no_wrap=heading == "action")
    for action in policy.actions:
        channels = (action.channel, *action.also_channels)
        caps = [
            f"{cap.most}/{cap.per}"
            for cap in policy.caps
            if cap.channel in ("", *channels) and cap.topic in ("", action.topic)
        ]
        counted = "none: transactional" if action.is_transactional else ", ".join(caps) or "none"
        table.add_row(action.name, action.need, ", ".join(channels), action.handled_by, counted)
    console.print(table)
    console.print(f"{policy.holdout.share:.0%} of users are held out (experiment {policy.holdout.salt!r})")
    return 0
