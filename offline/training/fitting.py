"""From snapshots to a fitted, exported, checked and measured model. Reads and writes no files."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeAlias
from zlib import crc32

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from offline.training import (
    additive,
    baselines,
    export,
    forms,
    gate,
    metrics,
    parity,
    plots,
    rule_weights,
    shapley,
    staged,
    thresholds,
    unconstrained,
)
from offline.training.additive import Additive
from offline.training.baselines import RULE
from offline.training.forms import Decided, Form
from offline.training.metrics import Floats, Said
from offline.training.rule_weights import Learned
from offline.training.shapley import Shares
from offline.training.table import AT_EVENTS, MOMENTS, Table
from offline.training.thresholds import Reached
from services.scoring.domain.learning import LearnedRules
from services.scoring.domain.schema import EXTENDED_VERSION

SEED: Final = 20260102
FITS_AT_ONCE: Final = 2
"""The model and that of the calendar split, as both forms where they are compared."""
# Of ten users, how many are held back for validation.
VALIDATION_TENTHS: Final = 3
# The calendar split: trained on what was known before this share of the snapshots' times, tested on later snapshots.
CUT_SHARE: Final = 0.7
# Fewer users of either label cannot be learned from and tested with.
FEWEST_USERS: Final = 10
OTHER_USERS: Final = "other users"
LATER: Final = "later by the calendar"
# The weight of an at-event snapshot: enough to learn what a user in the middle of a session looks like.
EVENT_WEIGHT: Final = 0.3
# The directions that are certain; features that are not measured have no effect at all.
DIRECTIONS: Final = {
    "error_count": 1,
    "retry_count": 1,
    "form_abandons": 1,
    "click_frustration": 1,
    "success_rate": -1,
    "engagement_score": -1,
    "time_since_last_success": 1,
    "session_count": -1,
    "unique_pages_visited": -1,
}
LARGEST_LEAST_LEAF: Final = 100
PARAMETERS: Final[dict[Form, dict[str, Any]]] = {
    Form.ADDITIVE: staged.PARAMETERS | {"trees": staged.TREES},
    Form.BOOSTED: unconstrained.PARAMETERS
    | {"max_depth": unconstrained.MAX_DEPTH, "trees_most": unconstrained.TREES_MOST},
}
_SHAPE_ROWS: Final = 5_000
_SHAPE_STEPS: Final = 10


Map: TypeAlias = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""Does something for each of some things, as `map` does, or several at once."""


class TooLittleError(Exception):
    """There is too little to learn from; the message is one sentence."""


class Source(NamedTuple):
    """What is trained on, whatever it comes from."""

    name: str
    """A short name, which the version begins with: lower case letters, digits and hyphens."""
    about: str
    """Sentences for the card: what the data is, and how it was read."""
    label: str
    snapshots: Table
    measured: frozenset[str]
    """The features that the data really has; the others have no effect."""
    is_directed: bool
    """Whether the directions that are certain for "the user leaves" are imposed."""
    own_users: int = 0
    """How many users of this installation the data has, all with a known outcome; 0 for published data."""
    form: Form | None = None
    """The form of the model; None if the data is to decide. Directions need the additive one."""


@dataclass(frozen=True)
class Trained:
    """A model, exported and measured. Reports and gains are by the name of their rows, at events first."""

    file: bytes
    decided: Decided
    reports: dict[str, metrics.Report]
    gains: dict[str, metrics.Figure]
    rules: dict[str, str]
    plots: dict[str, bytes]
    parity_difference: float
    counts: dict[str, int]
    shapes: dict[str, list[tuple[float, float]]]
    """By feature, bounds and values: its step function, or of boosted trees the median of its contributions."""
    pairs: list[tuple[str, str, float]]
    """The features of each pair, and the distance of its greatest value from its least, in logits."""
    remarks: tuple[str, ...]
    kept: Floats = field(compare=False)
    """What it says of the snapshots of users held back."""
    later: Floats | None = field(compare=False)
    """What the model of the calendar split says of the snapshots after the cut; None if there is no such split."""
    learned: Learned = field(compare=False)
    """What the users held back taught about the rules."""
    thresholds: dict[str, list[Reached]]
    """By moment, thresholds of the exit risk that some of the users held back chose and the others measured."""


@dataclass(frozen=True, eq=False)
class _Learning:
    """What is learned from; a feature that is not measured is constant, so that nothing is learned from it."""

    examples: unconstrained.Examples
    folds: list[tuple[Any, Any]]
    """Five, which never split a user."""
    directions: tuple[int, ...]

    def estimator(self, form: Form) -> ClassifierMixin:
        """A model of a form, not fitted yet."""
        return self._boosted if form is Form.BOOSTED else self._additive

    @cached_property
    def _additive(self) -> ClassifierMixin:
        pairs, pair_trees = ((), 0) if self.directions else _pairs(self.examples, self.folds[0])
        return staged.Boosted(pairs, pair_trees, self.directions, self._leaf, SEED)

    @cached_property
    def _boosted(self) -> ClassifierMixin:
        return unconstrained.booster(self.examples, self._leaf, SEED, unconstrained.MAX_DEPTH)

    @property
    def _leaf(self) -> int:
        return smallest_leaf(len(self.examples.rows))

    def fitted(self, form: Form) -> CalibratedClassifierCV:
        """A model of a form, calibrated by a sigmoid over the folds."""
        rows, is_true, _, weighted = self.examples
        # Sums over threads depend on their number; with one thread the bytes are the same everywhere.
        with threadpool_limits(1):
            model = CalibratedClassifierCV(self.estimator(form), method="sigmoid", cv=self.folds, ensemble=False)
            return model.fit(rows, is_true, sample_weight=weighted)

    def said(self, form: Form, folds: Sequence[tuple[Any, Any]]) -> Floats:
        """For the last rows of each fold, what a model of a form says that has learned from the first; else NaN."""
        said = np.full(len(self.examples.rows), np.nan)
        with threadpool_limits(1):
            for places, others in folds:
                known, model = self.examples.where(places), clone(self.estimator(form))
                model.fit(known.rows, known.is_true, sample_weight=known.weights)
                said[others] = model.decision_function(self.examples.rows[others])
        return said


def _learning(known: Table, measured: frozenset[str], *, is_directed: bool) -> _Learning:
    rows = known.values * np.array([name in measured for name in known.names])
    folds = list(GroupKFold(5).split(rows, known.is_true, known.users))
    directions = tuple(DIRECTIONS.get(name, 0) for name in known.names) if is_directed else ()
    examples = unconstrained.Examples(rows, known.is_true, known.users, weights(known))
    return _Learning(examples, folds, directions)


def fit(
    known: Table, measured: frozenset[str], *, is_directed: bool, form: Form = Form.ADDITIVE
) -> CalibratedClassifierCV:
    """Fits a model of a form.

    It is calibrated by a sigmoid over five folds that never split a user; the same folds tell whether pairs help, and
    how many trees.
    """
    return _learning(known, measured, is_directed=is_directed).fitted(form)


def decide(known: Table, source: Source) -> Decided:
    """The form of the model: as declared, or by comparing both on users of `known` that they have not learned from."""
    return _decided(_learning(known, source.measured, is_directed=source.is_directed), known, source, map)


def _decided(learning: _Learning, known: Table, source: Source, each: Map) -> Decided:
    if source.is_directed:
        return Decided(Form.ADDITIVE, "Directions need the additive form.")
    if source.form is not None:
        return Decided(source.form, f"The {source.form} form was asked for.")
    folds = learning.folds[: forms.folds(len(known))]
    said = dict(zip(Form, each(lambda form: learning.said(form, folds), Form), strict=True))
    is_asked = ~np.isnan(said[Form.ADDITIVE])
    compared = _compared({form: its[is_asked] for form, its in said.items()}, known.where(is_asked))
    return forms.decide(dict(compared), len(folds))


def _compared(said: dict[Form, Floats], known: Table) -> Iterator[tuple[str, forms.Compared]]:
    for moment, part in parts(known).items():
        additive_said, boosted_said = (said[form][known.moments == moment] for form in Form)
        yield (
            moment,
            forms.Compared(
                metrics.auroc(additive_said, part.is_true),
                metrics.auroc(boosted_said, part.is_true),
                metrics.auroc_difference(boosted_said, additive_said, part),
            ),
        )


def _pairs(examples: unconstrained.Examples, fold: tuple[Any, Any]) -> tuple[staged.Pairs, int]:
    """The pairs to use and how many trees they get; none where there are too few users to learn them from."""
    rarer = min(len(set(examples.users[examples.is_true == which])) for which in (True, False))
    if rarer < staged.FEWEST_USERS_FOR_PAIRS:
        return (), 0
    leaf = smallest_leaf(len(examples.rows))
    (rows, is_true, _, weighted), to_test = map(examples.where, fold)
    pairs = staged.ranked(rows, is_true, weighted, leaf, SEED)
    model = staged.Boosted(pairs, staged.PAIR_TREES_MOST, (), leaf, SEED)
    model.fit(rows, is_true, sample_weight=weighted)
    pair_trees = staged.best_pair_trees(model, to_test.rows, to_test.is_true, to_test.weights)
    return (pairs, pair_trees) if pair_trees else ((), 0)


def train(source: Source, each: Map = map) -> Trained:
    """Trains, exports and measures. The bytes do not depend on `each`.

    Raises:
        TooLittleError: too few users of either label, or no feature that tells them apart.
        ParityError: the exported model disagrees with the trained one.
    """
    is_kept_back = kept_back(source.snapshots.users)
    known, unknown = source.snapshots.where(~is_kept_back), source.snapshots.where(is_kept_back)
    _require_enough(known, unknown)
    learning, names = _learning(known, source.measured, is_directed=source.is_directed), source.snapshots.names
    # Each fit takes one thread, and at its end restores what it found: so that the fits beside it keep theirs.
    with threadpool_limits(1):
        decided = _decided(learning, known, source, each)
        fits = (lambda: learning.fitted(decided.form), lambda: _before_the_cut(source, decided.form))
        model, before = each(lambda do: do(), fits)
    read: Callable[[Any, Floats], Additive | Shares] = shapley.read if decided.form is Form.BOOSTED else additive.read
    made = read(model, known.values)
    shapes = _medians(made, known) if isinstance(made, Shares) else _shapes(made, names)
    if not shapes:
        raise TooLittleError("No feature tells apart for whom the label comes true: there is nothing to learn.")
    metadata = (("source", source.name), ("feature_schema_version", EXTENDED_VERSION), ("features", ",".join(names)))
    file = export.to_onnx(made, metadata)
    parity_difference = parity.require(file, model, unknown.values)
    kept = model.predict_proba(unknown.values)[:, 1]
    learned = rule_weights.learn(kept, unknown)
    asked = Asked(kept, learned.doubts, learned.rules)
    measured = compare(asked, known, unknown, OTHER_USERS)
    later, later_probabilities, remarks = _later(source, before, kept, learned.rules)
    return Trained(
        file,
        decided,
        measured.reports | later.reports,
        measured.gains | later.gains,
        measured.rules | later.rules,
        _plots(measured),
        parity_difference,
        {
            "users": len(set(known.users)),
            "snapshots": len(known),
            "validation_users": len(set(unknown.users)),
            "validation_snapshots": len(unknown),
        },
        shapes,
        [] if isinstance(made, Shares) else _spans(made, names),
        remarks,
        kept,
        later_probabilities,
        learned,
        thresholds.by_moment(asked.told, unknown),
    )


def _shapes(made: Additive, names: Sequence[str]) -> dict[str, list[tuple[float, float]]]:
    return {
        name: [(float(x), round(float(y), 3)) for x, y in zip([*steps.bounds, np.inf], steps.values, strict=True)]
        for name, steps in zip(names, made.steps, strict=True)
        if len(steps.bounds)
    }


def _spans(made: Additive, names: Sequence[str]) -> list[tuple[str, str, float]]:
    return [(names[grid.first], names[grid.second], float(np.ptp(grid.values))) for grid in made.grids]


def _medians(made: Shares, known: Table) -> dict[str, list[tuple[float, float]]]:
    """For each feature that a tree looks at, the median of its contributions by steps of about equal count."""
    rows = known.values[:: -(-len(known) // _SHAPE_ROWS)]
    terms, found = made.terms(rows), {}
    for index in sorted({feature for table in made.tables for feature in table.features}):
        column = rows[:, index]
        inner = np.linspace(0.0, 1.0, _SHAPE_STEPS + 1)[1:-1]
        bounds = np.unique(np.quantile(column, inner, method="nearest"))
        bounds = bounds[bounds < column.max()]
        step = np.searchsorted(bounds, column, side="left")
        found[known.names[index]] = [
            (float(bound), round(float(np.median(terms[step == number, index])), 3))
            for number, bound in enumerate([*bounds, np.inf])
        ]
    return found


def cost_of_directions(source: Source) -> dict[str, float]:
    """The AUROC without directions less the AUROC with them, over the users held back, by moment."""
    is_kept_back = kept_back(source.snapshots.users)
    known, unknown = source.snapshots.where(~is_kept_back), source.snapshots.where(is_kept_back)
    free, directed = (
        fit(known, source.measured, is_directed=is_directed).predict_proba(unknown.values)[:, 1]
        for is_directed in (False, True)
    )
    areas = [
        {
            moment: metrics.measure(Said(chances, chances), rows.is_true)["auroc"]
            for moment, rows in parts(unknown).items()
            for chances in [each[unknown.moments == moment]]
        }
        for each in (free, directed)
    ]
    return {moment: areas[0][moment] - areas[1][moment] for moment in areas[0]}


class Compared(NamedTuple):
    """A model beside the baselines, by the name of the rows."""

    reports: dict[str, metrics.Report]
    gains: dict[str, metrics.Figure]
    rules: dict[str, str]
    said: dict[str, tuple[dict[str, Said], Table]]


class Asked(NamedTuple):
    """What was said of snapshots: the model's probabilities, and the doubts of the learned rules (`gate.join`)."""

    model: Floats
    doubts: Floats
    rules: LearnedRules

    def where(self, mask: npt.NDArray[np.bool_]) -> "Asked":
        """What was said of those for which the mask holds."""
        return Asked(self.model[mask], self.doubts[mask], self.rules)

    @property
    def told(self) -> Floats:
        """The exit risk: the model's probability, or that of model and learned rules together."""
        return gate.joined(self.model, self.doubts) if self.rules.is_in_probability else self.model

    def said(self, rows: Table) -> dict[str, Said]:
        """The exit risk that is told, the model, the rules as shipped and as learned, and both together."""
        shipped, learned = rows.rule_probabilities, -np.expm1(-self.doubts)
        named = {
            "model": self.model,
            "model and rules": 1.0 - (1.0 - shipped) * (1.0 - self.model),
            "model and learned rules": gate.joined(self.model, self.doubts),
            "rules only": shipped,
            "learned rules only": learned,
        }
        said = {name: Said(each, each) for name, each in named.items()}
        return {"exit risk": said["model and learned rules" if self.rules.is_in_probability else "model"]} | said


def compare(asked: Asked, known: Table, unknown: Table, name: str) -> Compared:
    """Measures what was said of unknown snapshots, per moment, beside baselines fitted to the known ones."""
    found = Compared({}, {}, {}, {})
    known_parts = parts(known)
    for moment, rows in parts(unknown).items():
        if moment not in known_parts or len(set(known_parts[moment].is_true)) < 2:
            continue
        fitted = baselines.fit(known_parts[moment], SEED, smallest_leaf(len(known_parts[moment])))
        its = unknown.moments == moment
        said = asked.where(its).said(rows) | fitted.said(rows)
        title = f"{name}, {moment}"
        found.reports[title] = metrics.report(said, rows)
        found.gains[title] = metrics.accuracy_gain(said["model"].probabilities, said[RULE].probabilities, rows)
        found.rules[title] = str(fitted.rule)
        found.said[title] = said, rows
    return found


def kept_back(users: npt.NDArray[np.str_]) -> npt.NDArray[np.bool_]:
    """Which rows belong to the users held back for validation, always the same."""
    return np.array([crc32(user.encode()) % 10 < VALIDATION_TENTHS for user in users], bool)


def parts(snapshots: Table) -> dict[str, Table]:
    """The snapshots by moment, in the order they are reported in: at events first."""
    present = set(snapshots.moments)
    return {moment: snapshots.where(snapshots.moments == moment) for moment in MOMENTS if moment in present}


def smallest_leaf(count: int) -> int:
    """Of so many snapshots, how many a leaf of a tree has at least: 100, fewer where there are less than 5,000."""
    return min(LARGEST_LEAST_LEAF, max(5, count // 50))


def weights(known: Table) -> Floats:
    """How much each snapshot counts in fitting, 0 to 1: those at events less, where there are others."""
    is_at_events = known.moments == AT_EVENTS
    return np.where(is_at_events & ~is_at_events.all(), EVENT_WEIGHT, 1.0)


class Calendar(NamedTuple):
    """Which snapshots were known before a cut in the calendar, and which were asked after it."""

    before: npt.NDArray[np.bool_]
    after: npt.NDArray[np.bool_]


def calendar(snapshots: Table) -> Calendar:
    """Cuts at 70% of the snapshots' times.

    Raises:
        TooLittleError: the label is known at the end of the data only, or a part has too few users of either label.
    """
    if not snapshots.known_us.all():
        raise TooLittleError("This label is known at the end of the data only.")
    cut_us = int(np.quantile(snapshots.at_us, CUT_SHARE, method="nearest"))
    found = Calendar(snapshots.known_us <= cut_us, snapshots.at_us >= cut_us)
    _require_enough(snapshots.where(found.before), snapshots.where(found.after))
    return found


def _before_the_cut(source: Source, form: Form) -> CalibratedClassifierCV | TooLittleError:
    """Another model, trained on what was known at a cut in the calendar; why there is none."""
    try:
        before = source.snapshots.where(calendar(source.snapshots).before)
    except TooLittleError as error:
        return error
    return fit(before, source.measured, is_directed=source.is_directed, form=form)


def _later(
    source: Source, model: CalibratedClassifierCV | TooLittleError, kept: Floats, rules: LearnedRules
) -> tuple[Compared, Floats | None, tuple[str, ...]]:
    """Measures the model of `_before_the_cut` on the snapshots from then on.

    The rules are as those users held back teach them whose answer was known at the cut; `kept` are their probabilities.
    """
    if isinstance(model, TooLittleError):
        return Compared({}, {}, {}, {}), None, (f"There is no calendar split: {model}",)
    snapshots = source.snapshots
    cut = calendar(snapshots)
    before, after = snapshots.where(cut.before), snapshots.where(cut.after)
    later = model.predict_proba(after.values)[:, 1]
    is_kept_back = kept_back(snapshots.users)
    weights = rule_weights.fit(kept[cut.before[is_kept_back]], snapshots.where(is_kept_back & cut.before))
    return compare(Asked(later, after.doubts_under(weights), rules), before, after, LATER), later, ()


def _require_enough(known: Table, unknown: Table) -> None:
    for named, rows in (("to learn from", known), ("to test with", unknown)):
        true, false = (len(set(rows.users[rows.is_true == which])) for which in (True, False))
        if min(true, false) < FEWEST_USERS:
            message = (
                f"Of the users {named} the label came true for {true:,} and false for {false:,}; "
                f"each must be {FEWEST_USERS} or more."
            )
            raise TooLittleError(message)


def _plots(measured: Compared) -> dict[str, bytes]:
    """The plots by the name of their file."""
    models = {
        title.removeprefix(f"{OTHER_USERS}, "): (said["model"].probabilities, rows.is_true)
        for title, (said, rows) in measured.said.items()
    }
    return {
        "reliability.png": plots.reliability({name: metrics.bins(*each) for name, each in models.items()}),
        "roc.png": plots.roc(models),
        "precision_recall.png": plots.precision_recall(models),
    }
