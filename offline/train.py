"""Trains a model: `make train DATA=… MAPPING=… LABEL=…`, or on OULAD without these (docs/training.md).

Writes `<models>/<version>/` with `model.onnx`, `model.json`, the card and its plots. The version is a hash of the
model file and of the weights of rules: training again on the same data gives the same bytes and so the same version.
Where the live model, recalibrated, is the better one, it writes that. Compares it with the live model as it is, and
makes it live only if `PROMOTE` asks for that.
"""

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from mesh.clock import system_clock
from mesh.errors import MeshError
from offline import given
from offline.evaluate import render
from offline.settings import Declared
from offline.training import card, fitting, gate, parity, recalibration, stories
from offline.training.choice import Choice, Live, choose
from offline.training.fitting import Source, TooLittleError, Trained
from offline.training.forms import Form
from offline.training.gate import Verdict
from offline.training.metrics import Report
from offline.training.recalibration import Recalibrated
from offline.training.table import MissingColumnsError, Table
from services.scoring.adapters import learned_rules
from services.scoring.adapters.model_directory import ModelDirectory, Place
from services.scoring.domain import stages
from services.scoring.domain.schema import EXTENDED_VERSION
from services.scoring.domain.stages import Stage, Wanted

ACTOR: Final = "training"
"""Who makes models live here, as the stages name it."""
_LIBRARIES: Final = ("scikit-learn", "onnx", "numpy")


def main() -> None:
    """Trains, reports, and promotes if that is asked for and the model is no worse than the live one."""
    settings, declared, models, console = given.begin()
    form = _form(declared)
    asked = given.source(settings, declared, console)
    source = asked._replace(is_directed=declared.directions == "yes", form=form)
    users = len(set(source.snapshots.users))
    console.print(f"{len(source.snapshots):,} snapshots of {users:,} users; the label is: {source.label}", markup=False)
    live = read_live(models)
    try:
        with console.status("fitting, calibrating, measuring"), ThreadPoolExecutor(fitting.FITS_AT_ONCE) as fits:
            choice = choose(source, live, fits.map)
    except TooLittleError as error:
        sys.exit(f"journeymesh: {error}")
    for name, report in _reports(choice).items():
        console.print(render(name, report))
    if source.is_directed:
        costs = ", ".join(f"{cost:+.4f} {moment}" for moment, cost in fitting.cost_of_directions(source).items())
        console.print(f"The directions cost, in AUROC of users held back: {costs}.", markup=False)
    if choice.own:
        console.print(choice.own.decided.why, markup=False)
    for remark in choice.offered.learned.said():
        console.print(remark, markup=False)
    console.print(_in_trouble(choice.offered, source), markup=False)
    if choice.remark:
        console.print(choice.remark, markup=False)
    when = system_clock()
    version, verdict, is_live = register(choice.offered, live, models, source, declared.promote, when)
    if is_live:
        promote(models, version, when)
    console.print(f"{version} is in {models}/{version}; read card.md or card.html there.", markup=False)
    console.print(f"It is {verdict}." if verdict else "It could not be compared with a live model.", markup=False)
    if is_live:
        console.print(f"{version} is live in {models}", markup=False)
    elif declared.promote == "no":
        console.print("It is not live. `PROMOTE=yes` makes it live if it is no worse, `PROMOTE=anyway` whatever it is.")
    else:
        sys.exit("journeymesh: the model was not promoted.")


def _form(declared: Declared) -> Form | None:
    """The form that is asked for; None: the better one."""
    form = None if declared.form == "best" else Form(declared.form)
    if declared.directions == "yes" and form is Form.BOOSTED:
        sys.exit("journeymesh: directions need the additive form.")
    return form


class Registered(NamedTuple):
    """A model in the registry, beside the one that was live; without a verdict, they could not be compared."""

    version: str
    verdict: Verdict | None
    may_go_live: bool
    """Whether that is asked for, and the gate lets it."""


def register(
    made: Trained | Recalibrated, live: Live | None, models: Place, source: Source, promote_if: str, now_us: int
) -> Registered:
    """Writes the model to the registry, as a candidate, and judges whether it may go live (`promote`).

    Args:
        made: the model.
        live: the one that is live now; None: there is none that can be loaded.
        models: the registry.
        source: what the model was learned from.
        promote_if: `no`; `yes`: if it is no worse than the live one, or nothing is live; `anyway`.
        now_us: the time of training, Unix microseconds.

    Raises:
        OSError: the registry cannot be written to.
        MeshError: it cannot be reached.
    """
    version = write(made, models, source, now_us)
    verdict = compare(made, live, source.snapshots)
    is_shown = verdict.holds if verdict else live is None
    return Registered(version, verdict, promote_if == "anyway" or (promote_if == "yes" and is_shown))


def write(made: Trained | Recalibrated, models: Place, source: Source, now_us: int) -> str:
    """Writes the model's files; returns the version.

    A version that exists already keeps the time of its first training.
    """
    version = f"{source.name}-{_hash(made)[:8]}"
    trained_us = _first_time(models.folder(version), now_us)
    if isinstance(made, Trained):
        text, described = card.write(version, source, made, trained_us), _trained(made, source)
    else:
        text, described = card.recalibrated(version, source, made, trained_us), _recalibrated(made, source)
    files = {
        "model.onnx": made.file,
        "model.json": _described(made, version, source, trained_us, described),
        "card.md": text.encode(),
        "card.html": card.page(text).encode(),
    }
    models.write(version, files | made.plots)
    return version


def read_live(models: Place) -> Live | None:
    """The model that is live for everybody, the shipped one where nothing else is; None if it cannot be loaded."""
    registry = ModelDirectory(models)
    try:
        model = registry.live()
        return Live(model, registry.file(model.card.version))
    except MeshError:
        return None


def compare(made: Trained | Recalibrated, live: Live | None, snapshots: Table) -> Verdict | None:
    """The model beside the live one on users that it does not know; None if there is no live one that can be asked."""
    if live is None:
        return None
    if isinstance(made, Recalibrated):
        return gate.judge(made.after, made.before, snapshots)
    rows = snapshots.where(fitting.kept_back(snapshots.users))
    try:
        return gate.judge(made.kept, recalibration.probabilities(live.model, rows), rows)
    except MissingColumnsError:
        return None


def promote(models: Place, version: str, now_us: int, why: str = "") -> None:
    """Makes a version live for everybody; running services follow within seconds."""
    wanted = Wanted(version, Stage.LIVE, ACTOR, why=why)
    ModelDirectory(models).change(lambda now: stages.changed(now, wanted, now_us))


def _in_trouble(made: Trained | Recalibrated, source: Source) -> str:
    names = source.snapshots.names if isinstance(made, Trained) else made.base.card.features
    score = stories.told(made.file, names, made.learned.weights)[stories.TROUBLE].score
    return f"A {stories.TROUBLE}: the score is {score:.0f}, and help is offered from {stories.ALARM:.0f}."


def _reports(choice: Choice) -> dict[str, Report]:
    own = choice.own.reports if choice.own else {}
    other = choice.recalibrated.reports if choice.recalibrated and choice.offered is choice.recalibrated else {}
    return own | {f"the live model, recalibrated; {name}": report for name, report in other.items()}


def _described(
    made: Trained | Recalibrated, version: str, source: Source, trained_us: int, of_its_kind: dict[str, Any]
) -> bytes:
    described = {
        "version": version,
        "training_source": source.name,
        "training_time_us": trained_us,
        **of_its_kind,
        "rules": learned_rules.written(made.learned.rules),
        "label": source.label,
        "own_users": source.own_users,
        "libraries": {name: installed(name) for name in _LIBRARIES},
        "counts": made.counts,
        "sha256": hashlib.sha256(made.file).hexdigest(),
        "metrics": made.reports,
        "thresholds": made.thresholds,
    }
    return msgspec.json.format(msgspec.json.encode(described), indent=2) + b"\n"


def _trained(trained: Trained, source: Source) -> dict[str, Any]:
    return {
        "feature_schema_version": EXTENDED_VERSION,
        "features": source.snapshots.names,
        "words": source.snapshots.known_words,
        "form": trained.decided.form,
        "pairs": trained.pairs,
        "measured_features": sorted(source.measured),
        "about": source.about,
        "seed": fitting.SEED,
        "event_weight": fitting.EVENT_WEIGHT,
        "parameters": fitting.PARAMETERS[trained.decided.form],
        "vectors": parity.vectors(trained.file, source.snapshots.values),
        "parity": {"max_abs_difference": trained.parity_difference, "limit": parity.LIMIT},
        "single_rules": trained.rules,
        "accuracy_gain_over_one_rule": trained.gains,
    }


def _recalibrated(made: Recalibrated, source: Source) -> dict[str, Any]:
    base = made.base.card
    return {
        "feature_schema_version": base.schema_version,
        "features": base.features,
        "words": base.words,
        "recalibrated": {"version": base.version, "offset": made.by.offset, "slope": made.by.slope},
        "vectors": parity.vectors(made.file, source.snapshots.inputs(base.features, base.words)),
    }


def _hash(made: Trained | Recalibrated) -> str:
    """A hash of what is served: the model, and what was learned about the rules if anything was."""
    told = made.learned.rules
    learned = msgspec.json.encode(learned_rules.written(told), order="deterministic") if told.weights else b""
    return hashlib.sha256(made.file + learned).hexdigest()


def _first_time(folder: Path | None, now_us: int) -> int:
    if folder is None:
        return now_us
    try:
        known: dict[str, Any] = msgspec.json.decode((folder / "model.json").read_bytes())
    except FileNotFoundError:
        return now_us
    return int(known["training_time_us"])


if __name__ == "__main__":
    main()
