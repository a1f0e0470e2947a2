"""Which form a model has, and the rule by which training chooses.

The additive form is the default: its contributions are functions that can be drawn. Boosted trees are taken only where
they tell apart clearly better for whom the label comes true, among users whom neither form has learned from
(docs/adr/093).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from offline.training.metrics import Figure

LEAD: Final = 0.005
"""By how much more AUROC boosted trees must be ahead, and may not be behind."""

FOLDS: Final = 5
ROWS: Final = 100_000
"""About how many snapshots the comparison has each form learn from, over all its folds."""


class Form(StrEnum):
    """What the logit is a sum of."""

    ADDITIVE = "additive"
    """Functions of one feature, and of pairs."""
    BOOSTED = "boosted"
    """Trees that may look at any features."""


class Compared(NamedTuple):
    """Both forms at a moment, for users that they have not learned from: their AUROC, and boosted less additive."""

    additive: float
    boosted: float
    lead: Figure


class Decided(NamedTuple):
    """The form, and a sentence that says why."""

    form: Form
    why: str


def folds(row_count: int) -> int:
    """How many of five folds both forms are compared on: all of up to 22,222 snapshots, one from 66,667 on.

    Comparing costs less than fitting, and on so many snapshots a fifth of the users tells enough.
    """
    return min(max(round(ROWS / row_count), 1), FOLDS)


def decide(compared: Mapping[str, Compared], fold_count: int = FOLDS) -> Decided:
    """The form for what was compared on so many of five folds, by moment.

    It is the boosted one if it is ahead by more than 0.005 AUROC at some moment, with a 95% interval above 0, and at
    none behind by more than that.
    """
    leads = [each.lead for each in compared.values()]
    is_ahead = any(lead.value > LEAD and lead.low > 0.0 for lead in leads)
    is_behind = any(lead.value < -LEAD for lead in leads)
    form = Form.BOOSTED if is_ahead and not is_behind else Form.ADDITIVE
    figures = "; ".join(
        f"{moment} boosted {boosted:.4f}, additive {additive:.4f}, difference {lead.value:+.4f} "
        f"({lead.low:+.4f} to {lead.high:+.4f})"
        for moment, (additive, boosted, lead) in compared.items()
    )
    asked = "each fifth" if fold_count == FOLDS else "one fifth" if fold_count == 1 else f"{fold_count} fifths each"
    return Decided(
        form,
        f"The {form} form was chosen. AUROC of users to learn from, {asked} asked about by models of the other "
        f"four: {figures}. Boosted trees are taken where they are ahead by more than {LEAD}, with an interval above 0, "
        "and nowhere behind by more.",
    )
