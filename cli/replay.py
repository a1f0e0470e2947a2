"""`journeymesh replay`: derives archived decisions again, and tells what another policy or model would have decided."""

import argparse
import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from rich.console import Console
from rich.progress import track

from cli.moments import EVER_US, moment_us
from mesh.errors import Unavailable
from mesh.settings import SettingError, read_or_exit
from offline.settings import Settings

if TYPE_CHECKING:
    from services.ingest.adapters.archive_events import Archived
    from services.intervention.policy.domain.policy import Policy
    from services.scoring.ports import Model

_HOUR_US: Final = 3_600_000_000
_NO_PICTURE: Final = "No picture was drawn: matplotlib is not installed; `.venv/bin/pip install matplotlib` does it."


class _Dated(msgspec.Struct):
    version: str
    document: str


class _Policies(msgspec.Struct):
    policies: list[_Dated]


class CannotReplayError(Exception):
    """What was asked cannot be done; the text is one sentence."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("--archive", required=True, help="file:///folder or s3://bucket/prefix")
    parser.add_argument("--from", dest="start_us", type=moment_us, default=0, help="first received time, ISO 8601")
    parser.add_argument("--to", dest="stop_us", type=moment_us, default=EVER_US, help="received time to stop before")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="another policy, that decides from --from on")
    parser.add_argument("--model", metavar="VERSION", help="another model, that scores from --from on")
    parser.add_argument(
        "--policies",
        type=Path,
        default=Path("policies"),
        metavar="FOLDER",
        help="documents of the policies that decided, by whatever names, or answers of /api/policies as *.json "
        "(default: %(default)s)",
    )
    parser.add_argument("--models", type=Path, metavar="FOLDER", help="folder of the models that scored")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="where to draw the differences, as PNG")


async def main(arguments: argparse.Namespace) -> int:
    """Replays and tells; 1 where a decision is derived otherwise than archived, or some of the archive is missing."""
    console = Console(highlight=False)
    try:
        return await _replay(arguments, console)
    except (SettingError, Unavailable, CannotReplayError) as error:
        console.print(f"journeymesh: {error}", markup=False)
        return 1


async def _replay(arguments: argparse.Namespace, console: Console) -> int:
    # Only this command needs the archive and the models.
    from offline import archive, decided, what_if, what_if_report
    from services.ingest.adapters.archive_files import ParquetArchive

    policies = _policies(arguments.policies)
    folder = arguments.models or Path(read_or_exit(Settings).models_directory)
    others = what_if.Others(
        policy=_policy(arguments.policy) if arguments.policy else None,
        model=_model(folder / arguments.model) if arguments.model else None,
    )
    files = ParquetArchive(arguments.archive)
    found = archive.contents(files, archive.Window(0, -(-arguments.stop_us // _HOUR_US)))
    if not found.files and archive.is_empty(files):
        console.print(archive.NOTHING_YET)
        return 0
    span = what_if.Span(arguments.start_us, arguments.stop_us)
    replay = what_if.WhatIf(policies, _models(folder), others, span)

    def note(events: "Iterable[Archived]") -> "Iterable[Archived]":
        return track(events, "replaying", total=found.row_count, console=console)

    try:
        await replay.run(decided.records(files, found, note))
    except what_if.UnknownVersionError as error:
        message = f"{error}: put its document into {arguments.policies}, or the model into {folder}."
        raise CannotReplayError(message) from None
    findings = replay.findings
    has_other = others != what_if.Others()
    values = what_if_report.values_of(findings) if has_other else {}
    what_if_report.tell(console, findings, values, has_other=has_other, gap_count=len(found.gaps))
    if arguments.plot:
        try:
            arguments.plot.write_bytes(what_if_report.picture(findings, values))
        except ImportError:
            console.print(_NO_PICTURE, markup=False)
    return int(bool(findings.different_count or findings.duplicate_count or found.gaps))


def _policies(folder: Path) -> "dict[str, Policy]":
    found = {}
    for path in sorted(folder.glob("*.yaml")):
        # Other files may stand there, and documents of times when they were written otherwise.
        with contextlib.suppress(CannotReplayError):
            policy = _policy(path)
            found[policy.version] = policy
    for path in sorted(folder.glob("*.json")):
        with contextlib.suppress(msgspec.DecodeError):
            found |= _served(path)
    return found


def _served(path: Path) -> "dict[str, Policy]":
    """The policies of an answer to `GET /api/policies`, by the versions they decided as."""
    from services.intervention.policy.adapters.yaml import parse
    from services.intervention.policy.domain.interpretation import PolicyError, stored_policy

    found = {}
    for each in msgspec.json.decode(path.read_bytes(), type=_Policies).policies:
        with contextlib.suppress(PolicyError):  # a newer version's
            found[each.version] = stored_policy(parse(each.document), each.version)
    return found


def _policy(path: Path) -> "Policy":
    from services.intervention.policy.adapters.yaml import parse
    from services.intervention.policy.domain.interpretation import PolicyError, policy_of

    try:
        return policy_of(parse(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, PolicyError) as error:
        message = f"{path} is no policy: {error}"
        raise CannotReplayError(message) from None


def _models(folder: Path) -> "dict[str, Model]":
    return {path.parent.name: _model(path.parent) for path in sorted(folder.glob("*/model.json"))}


def _model(folder: Path) -> "Model":
    from services.scoring.adapters.model_directory import UnusableModelError, load

    try:
        return load(folder)
    except UnusableModelError as error:
        raise CannotReplayError(str(error)) from None
