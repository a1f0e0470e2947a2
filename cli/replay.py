"""`journeymesh replay`: derives archived decisions again, and shows what another policy or model would have decided."""

import argparse
import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import track

from cli.arguments import add_archive
from cli.policy import read_policy
from mesh.errors import Unavailable
from mesh.settings import SettingError, read_or_exit
from offline import archive
from offline.decisions import archived, report, what_if
from offline.settings import Settings
from records.tenants import DEFAULT
from services.ingest.archive.adapters.event_rows import Archived
from services.ingest.archive.adapters.files import ParquetArchive
from services.intervention.policy.adapters.yaml import parse
from services.intervention.policy.domain.interpretation import PolicyError, stored_policy
from services.intervention.policy.domain.policy import Policy
from services.scoring.adapters.model_directory import Place, UnusableModelError, load, place
from services.scoring.ports import Model

_HOUR_US: Final = 3_600_000_000
_NO_PICTURE: Final = "No picture was drawn: matplotlib is not installed; run `.venv/bin/pip install matplotlib`."


class _Dated(msgspec.Struct):
    version: str
    document: str
    tenant: str = DEFAULT


class _Policies(msgspec.Struct):
    policies: list[_Dated]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_archive(parser)
    parser.add_argument("--policy", type=Path, metavar="FILE", help="another policy, to decide by from --from on")
    parser.add_argument("--model", metavar="VERSION", help="another model, to score by from --from on")
    parser.add_argument(
        "--policies",
        type=Path,
        default=Path("policies"),
        metavar="FOLDER",
        help="documents of the policies that decided, under any name, or answers of /api/policies as *.json "
        "(default: %(default)s)",
    )
    parser.add_argument("--models", type=Path, metavar="FOLDER", help="folder of the models that scored")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="where to plot the differences, as PNG")


async def main(arguments: argparse.Namespace) -> int:
    """Replays and reports; returns 1 if a decision is derived differently or cannot be, or parts are missing."""
    console = Console(highlight=False)
    try:
        return await _replay(arguments, console)
    except (SettingError, Unavailable, PolicyError, UnusableModelError) as error:
        console.print(f"journeymesh: {error}", markup=False)
        return 1


async def _replay(arguments: argparse.Namespace, console: Console) -> int:
    policies = _policies(arguments.policies)
    kept = place(str(arguments.models or read_or_exit(Settings).models_directory))
    models = {name: load(folder) for name in sorted(kept.names()) if (folder := kept.folder(name))}
    alternative = what_if.Alternative(
        policy=read_policy(arguments.policy)[1] if arguments.policy else None,
        model=_model(kept, arguments.model) if arguments.model else None,
    )
    files = ParquetArchive(arguments.archive)
    found = archive.contents(files, archive.Window(0, -(-arguments.stop_us // _HOUR_US)))
    if not found.files and archive.is_empty(files):
        console.print(archive.NOTHING_YET)
        return 0
    span = what_if.Span(arguments.start_us, arguments.stop_us)
    replay = what_if.WhatIf(policies, models, alternative, span)

    def tracked(events: Iterable[Archived]) -> Iterable[Archived]:
        return track(events, "replaying", total=found.row_count, console=console)

    try:
        await replay.run(archived.records(files, found, tracked))
    except what_if.UnknownVersionError as error:
        hint = f"put its document into {arguments.policies}."
        console.print(f"journeymesh: {error}: {hint}", markup=False)
        return 1
    findings = replay.findings
    has_other = alternative != what_if.Alternative()
    values = report.values_of(findings) if has_other else {}
    report.show(console, findings, values, has_other=has_other, gap_count=len(found.gaps))
    if arguments.plot:
        try:
            arguments.plot.write_bytes(report.picture(findings, values))
        except ImportError:
            console.print(_NO_PICTURE, markup=False)
    return int(bool(findings.different_count or findings.gone or findings.duplicate_count or found.gaps))


def _model(kept: Place, version: str) -> Model:
    if (folder := kept.folder(version)) is None:
        message = f"{kept}/{version} holds no complete model."
        raise UnusableModelError(message)
    return load(folder)


def _policies(folder: Path) -> dict[str, Policy]:
    """The policies of a folder, by version. Other files may be there, and documents that are no longer valid."""
    found = {}
    for path in sorted(folder.glob("*.yaml")):
        with contextlib.suppress(PolicyError):
            _, policy = read_policy(path)
            found[policy.version] = policy
    for path in sorted(folder.glob("*.json")):
        with contextlib.suppress(msgspec.DecodeError):
            found |= _served(path)
    return found


def _served(path: Path) -> dict[str, Policy]:
    """The policies of an answer to `GET /api/policies`, by the version they decided as."""
    found = {}
    for each in msgspec.json.decode(path.read_bytes(), type=_Policies).policies:
        with contextlib.suppress(PolicyError):  # written by a newer release
            found[each.version] = stored_policy(parse(each.document), each.version, each.tenant)
    return found
