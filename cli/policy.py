"""`journeymesh policy`: whether a document is a policy (`check`), and what outcomes teach it (`learn`)."""

import argparse
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import track
from rich.table import Table

from cli.moments import EVER_US, moment_us
from mesh.errors import Unavailable
from mesh.settings import SettingError

if TYPE_CHECKING:
    from offline.learning import Lesson
    from services.ingest.adapters.archive_events import Archived
    from services.intervention.policy.domain.policy import Policy, Prior

_HOUR_US: Final = 3_600_000_000
_STRENGTH: Final = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what the command can do, and the options of each."""
    doing = parser.add_subparsers(dest="doing", required=True)
    check = doing.add_parser("check", help="tell whether a document is a policy, and what it allows")
    check.add_argument("file", type=Path, help="the document, in YAML")
    learn = doing.add_parser("learn", help="write the policy with priors that archived outcomes have taught")
    learn.add_argument("file", type=Path, help="the document with the stated priors, in YAML")
    learn.add_argument("--archive", required=True, help="file:///folder or s3://bucket/prefix")
    learn.add_argument("--from", dest="start_us", type=moment_us, default=0, help="first received time, ISO 8601")
    learn.add_argument("--to", dest="stop_us", type=moment_us, default=EVER_US, help="received time to stop before")
    learn.add_argument("--output", required=True, type=Path, metavar="FILE", help="where to write the new document")
    learn.add_argument("--version", metavar="NAME", help="its version (default: that of the old one, and `-learned`)")
    learn.add_argument(
        "--strength",
        type=_strength,
        default=_STRENGTH,
        metavar="N",
        help="as many outcomes weigh as much as what is held without them (default: %(default)g)",
    )


def main(arguments: argparse.Namespace) -> int:
    """Does what is asked; the command's exit code."""
    from services.intervention.policy.domain.interpretation import PolicyError  # not needed by the other commands

    console = Console(highlight=False)
    try:
        return _learn(arguments, console) if arguments.doing == "learn" else _check(arguments, console)
    except (OSError, PolicyError, SettingError, Unavailable) as error:
        console.print(f"journeymesh: {error}", soft_wrap=True, markup=False)
        return 1


def _check(arguments: argparse.Namespace, console: Console) -> int:
    from services.intervention.decision.domain.reasons import lasting

    _, policy = _read(arguments.file)
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
    console.print(f"Help is for what happened within {lasting(policy.freshness_us)}.")
    console.print(f"{policy.holdout.share:.0%} of users are held out (experiment {policy.holdout.salt!r})")
    return 0


def _learn(arguments: argparse.Namespace, console: Console) -> int:
    # Only this needs the archive.
    from offline import archive, decided, learning
    from offline.rewriting import rewritten
    from offline.what_if import Span
    from services.ingest.adapters.archive_files import ParquetArchive

    document, policy = _read(arguments.file)
    files = ParquetArchive(arguments.archive)
    window = archive.Window(arguments.start_us // _HOUR_US, -(-arguments.stop_us // _HOUR_US))
    found = archive.contents(files, window)
    outcomes = learning.Outcomes(policy, Span(arguments.start_us, arguments.stop_us))

    def note(events: "Iterable[Archived]") -> "Iterable[Archived]":
        return track(events, "learning", total=found.row_count, console=console)

    for record in decided.records(files, found, note):
        outcomes.see(record)
    learned = learning.lessons(policy, outcomes.tallies(), arguments.strength)
    version = arguments.version or f"{policy.version.rpartition('+')[0]}-learned"
    new = rewritten(document, version, learned)
    arguments.output.write_text(new.text, encoding="utf-8")
    _tell(console, learned)
    if found.gaps:
        console.print(f"Beware: ranges of the archive that are missing, and have taught nothing: {len(found.gaps)}")
    if not new.has_comments:
        console.print(f"The comments of {arguments.file} could not be kept.", markup=False)
    _, policy = _read(arguments.output)
    console.print(f"{arguments.output} is policy {policy.version}.", soft_wrap=True, markup=False)
    return 0


def _tell(console: Console, learned: "Sequence[Lesson]") -> None:
    table = Table(title="What outcomes have taught", title_justify="left")
    for heading in ("action", "risk", "difficulty"):
        table.add_column(heading, no_wrap=True)
    for heading in ("accepted", "refused", "before", "after"):
        table.add_column(heading, justify="right")
    for each in learned:
        counts = (f"{each.tally.accepted:,}", f"{each.tally.refused:,}") if each.tally.total else ("", "")
        table.add_row(each.action, *each.context, *counts, _mean(each.before), _mean(each.after))
    console.print(table if learned else "No outcome tells of an action of this policy: nothing was learned.")


def _mean(prior: "Prior") -> str:
    return f"{prior.accepted / (prior.accepted + prior.refused):.3f}"


def _read(path: Path) -> "tuple[str, Policy]":
    from services.intervention.policy.adapters.yaml import parse
    from services.intervention.policy.domain.interpretation import PolicyError, policy_of

    try:
        document = path.read_text(encoding="utf-8")
        return document, policy_of(parse(document))
    except (OSError, UnicodeDecodeError, PolicyError) as error:
        message = f"{path} is no policy: {error}"
        raise PolicyError(message) from None


def _strength(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError("must be above 0")
    return value
