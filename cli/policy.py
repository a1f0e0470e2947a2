"""`journeymesh policy`: checks a policy's document (`check`), and learns its priors from outcomes (`learn`)."""

import argparse
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import track
from rich.table import Table

from cli.arguments import add_archive
from mesh.errors import Unavailable
from mesh.settings import SettingError
from services.intervention.decision.domain.reasons import counted, lasting
from services.intervention.policy.adapters.yaml import parse
from services.intervention.policy.domain.interpretation import PolicyError, policy_of
from services.intervention.policy.domain.policy import Policy, Prior

if TYPE_CHECKING:
    from offline.decisions.learning import LearnedPrior
    from services.ingest.archive.adapters.event_rows import Archived

_HOUR_US: Final = 3_600_000_000
_STRENGTH: Final = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands and their options."""
    doing = parser.add_subparsers(dest="doing", required=True)
    check = doing.add_parser("check", help="check a policy's document and show what it allows")
    check.add_argument("file", type=Path, help="the document, in YAML")
    learn = doing.add_parser("learn", help="write the policy with priors learned from archived outcomes")
    learn.add_argument("file", type=Path, help="the document with the stated priors, in YAML")
    add_archive(learn)
    learn.add_argument("--output", required=True, type=Path, metavar="FILE", help="where to write the new document")
    learn.add_argument("--version", metavar="NAME", help="its version (default: the old one with `-learned`)")
    learn.add_argument(
        "--strength",
        type=_strength,
        default=_STRENGTH,
        metavar="N",
        help="how many outcomes weigh as much as the stated prior (default: %(default)g)",
    )


def main(arguments: argparse.Namespace) -> int:
    """Runs the subcommand; returns the exit code."""
    console = Console(highlight=False)
    try:
        return _learn(arguments, console) if arguments.doing == "learn" else _check(arguments, console)
    except (OSError, PolicyError, SettingError, Unavailable) as error:
        console.print(f"journeymesh: {error}", soft_wrap=True, markup=False)
        return 1


def _check(arguments: argparse.Namespace, console: Console) -> int:
    _, policy = read_policy(arguments.file)
    table = Table(title=f"Policy {policy.version}", title_justify="left")
    has_segments = any(each.segments for each in policy.actions)
    for heading in ("action", "need", *(["segments"] if has_segments else []), "channels", "by", "caps that count it"):
        table.add_column(heading, no_wrap=heading == "action")
    for action in policy.actions:
        channels = (action.channel, *action.also_channels)
        caps = [
            f"{cap.most}/{cap.per}{_for(cap.segments)}"
            for cap in policy.caps
            if cap.channel in ("", *channels)
            and cap.topic in ("", action.topic)
            and not (cap.segments and action.segments and cap.segments.isdisjoint(action.segments))
        ]
        caps_text = "none: transactional" if action.is_transactional else ", ".join(caps) or "none"
        segments = [", ".join(sorted(action.segments)) or "all"] if has_segments else []
        table.add_row(action.name, action.need, *segments, ", ".join(channels), action.handled_by, caps_text)
    console.print(table)
    console.print(f"Only events of the last {lasting(policy.freshness_us)} lead to help.")
    console.print(f"{policy.holdout.share:.0%} of users are in the holdout (experiment {policy.holdout.salt!r})")
    return 0


def _for(segments: frozenset[str]) -> str:
    return f" for {', '.join(sorted(segments))}" if segments else ""


def _learn(arguments: argparse.Namespace, console: Console) -> int:
    # Only this subcommand needs the archive's libraries.
    from offline import archive
    from offline.decisions import archived, learning
    from offline.decisions.rewriting import rewritten
    from offline.decisions.what_if import Span
    from services.ingest.archive.adapters.files import ParquetArchive

    document, policy = read_policy(arguments.file)
    files = ParquetArchive(arguments.archive)
    window = archive.Window(arguments.start_us // _HOUR_US, -(-arguments.stop_us // _HOUR_US))
    found = archive.contents(files, window)
    outcomes = learning.Outcomes(policy, Span(arguments.start_us, arguments.stop_us))

    def tracked(events: "Iterable[Archived]") -> "Iterable[Archived]":
        return track(events, "learning", total=found.row_count, console=console)

    for record in archived.records(files, found, tracked):
        outcomes.see(record)
    learned = learning.learned_priors(policy, outcomes.tallies(), arguments.strength)
    version = arguments.version or f"{policy.version.rpartition('+')[0]}-learned"
    new = rewritten(document, version, learned)
    arguments.output.write_text(new.text, encoding="utf-8")
    console.print(_table(learned) if learned else "No outcome is about an action of this policy: nothing was learned.")
    if found.gaps:
        console.print(
            f"Warning: the archive has {counted(len(found.gaps), 'gap')}; nothing was learned from events in it."
        )
    if not new.has_comments:
        console.print(f"The comments of {arguments.file} are lost.", markup=False)
    _, policy = read_policy(arguments.output)
    console.print(f"{arguments.output} is policy {policy.version}.", soft_wrap=True, markup=False)
    return 0


def _table(learned: "Sequence[LearnedPrior]") -> Table:
    table = Table(title="Learned from outcomes", title_justify="left")
    for heading in ("action", "risk", "difficulty"):
        table.add_column(heading, no_wrap=True)
    for heading in ("accepted", "refused", "before", "after"):
        table.add_column(heading, justify="right")
    for each in learned:
        counts = (f"{each.tally.accepted:,}", f"{each.tally.refused:,}") if each.tally.total else ("", "")
        table.add_row(each.action, *each.context, *counts, _mean(each.before), _mean(each.after))
    return table


def _mean(prior: Prior) -> str:
    return f"{prior.accepted / (prior.accepted + prior.refused):.3f}"


def read_policy(path: Path) -> tuple[str, Policy]:
    """A policy's document and the policy.

    Raises:
        PolicyError: the file cannot be read or is not a policy; the message names the file.
    """
    try:
        document = path.read_text(encoding="utf-8")
        return document, policy_of(parse(document))
    except (OSError, UnicodeDecodeError, PolicyError) as error:
        message = f"{path} is not a policy: {error}"
        raise PolicyError(message) from None


def _strength(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError("must be above 0")
    return value
