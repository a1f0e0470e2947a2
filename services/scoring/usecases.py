"""The use cases: assess the users of a batch, read a user's risk, read the live model."""

import struct
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from mesh.errors import NotFound, Unavailable
from mesh.state import applied, erasing, exporting, keyed
from mesh.state.port import StateStore
from services.scoring.domain import assessment, rules
from services.scoring.domain.assessment import Assessment, Columns, Explained
from services.scoring.domain.history import Journal, Settled, Signal
from services.scoring.domain.inputs import NO_INPUTS, Inputs, columns_of
from services.scoring.domain.schema import FEATURES, SCHEMA_VERSION
from services.scoring.ports import Card, Matrix, Model, Models, Prediction
from services.scoring.states import JOURNALS

RULES_ONLY: Final = "rules-only"
"""The version that is named where the model takes columns that were not sent."""
# A baseline so low that the model says nothing, and no terms.
_NO_TERMS: Final = struct.pack(f"<{len(FEATURES) + 1}f", -100.0, *[0.0] * len(FEATURES))


class Rows(NamedTuple):
    """Feature vectors to assess, each user's in the order of the stream.

    `signals` are the new signals by row, `settled` those that ended. `event_counts` is the number of events each row
    stands for, empty for one each.
    """

    user_ids: Sequence[str]
    event_times_us: Sequence[int]
    values: Matrix
    schema_version: str
    signals: Mapping[int, Sequence[Signal]]
    settled: Mapping[int, Collection[Settled]] = {}
    event_counts: Sequence[int] = ()
    inputs: Inputs = NO_INPUTS


class Assessed(NamedTuple):
    """The result of a batch, one assessment per row."""

    assessments: list[Assessment]
    model_version: str


class UserRisk(NamedTuple):
    """A user's latest assessment and journal."""

    explained: Explained
    journal: Journal


class Scoring:
    """The use cases of the service."""

    def __init__(self, models: Models, store: StateStore) -> None:
        self._models = models
        self._store = store

    async def assess(self, rows: Rows, batch: applied.Batch) -> Assessed:
        """Assesses every row and records the results, once per position.

        Raises:
            FailedPrecondition: `POSITION_STALE`.
            Unavailable: the store or the model cannot be reached, or the features are of another schema.
        """
        if rows.schema_version != SCHEMA_VERSION:
            raise schema_mismatch(rows.schema_version, SCHEMA_VERSION)
        model = self._models.live()
        journals = keyed.Changed(JOURNALS, rows.user_ids)
        async with keyed.batch(self._store, batch, journals):
            return _assess_in_order(rows, journals.states, model)

    async def read(self, user_id: str) -> UserRisk:
        """The user's latest assessment, explained.

        Raises:
            NotFound: `USER_NOT_FOUND`.
            Unavailable: `FEATURE_SCHEMA_MISMATCH`, its features have another schema; the next event leads to a new
            assessment.
        """
        journal = await keyed.read(self._store, JOURNALS, user_id)
        if not journal.values:
            raise NotFound("USER_NOT_FOUND", "Nothing is known of this user.")
        if journal.schema_version != SCHEMA_VERSION:
            raise schema_mismatch(journal.schema_version, SCHEMA_VERSION)
        return UserRisk(assessment.explain(journal), journal)

    async def kept(self, user_ids: Sequence[str]) -> dict[str, int]:
        """How many entries are kept of a person with these ids, by store."""
        return {"scoring.journals": await erasing.count(self._store, [*map(JOURNALS.key, user_ids)])}

    async def erase(self, user_ids: Sequence[str]) -> None:
        """Erases what is kept of a person with these ids. May be repeated.

        Raises:
            Unavailable: some may be erased.
        """
        await erasing.erase(self._store, [*map(JOURNALS.key, user_ids)])

    async def export(self, user_ids: Sequence[str]) -> list[exporting.Record]:
        """All that is kept of a person with these ids.

        Raises:
            ResourceExhausted: `EXPORT_TOO_LARGE`.
            Unavailable: the store cannot be reached.
        """
        return exporting.bounded(await exporting.states(self._store, "scoring.journals", JOURNALS, user_ids))

    def model(self) -> Card:
        """The live model."""
        return self._models.live().card


def schema_mismatch(given: str, known: str) -> Unavailable:
    """The error for features of another schema; it ends once both services have the same version."""
    return Unavailable(
        "FEATURE_SCHEMA_MISMATCH", f"The features are of schema {given[:32]!r}, scoring takes {known!r}."
    )


def _assess_in_order(rows: Rows, journals: Mapping[str, Journal], model: Model) -> Assessed:
    names, version = model.card.features, model.card.version
    taken = columns_of(names, model.card.words, rows.values, rows.inputs)
    if taken is None:
        names, version, taken = FEATURES, RULES_ONLY, rows.values
        prediction = Prediction([0.0] * len(taken), _NO_TERMS * len(taken))
    else:
        prediction = model.predict(taken)
    columns = Columns(
        rows.event_times_us,
        names,
        taken.astype("<f8").tobytes(),
        rules.may_apply(rows.values.T),
        prediction.probabilities,
        prediction.packed_terms,
        rows.signals,
        rows.settled,
        rows.event_counts or [1] * len(rows.user_ids),
    )
    assess = assessment.assess
    answers = [assess(journals[user_id], columns, row) for row, user_id in enumerate(rows.user_ids)]
    for user_id, row in {user_id: row for row, user_id in enumerate(rows.user_ids)}.items():
        assessment.settle(journals[user_id], columns, row, version)
    return Assessed(answers, version)
