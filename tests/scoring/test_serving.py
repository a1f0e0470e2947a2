"""Several models serve at once: canaries, and tenants with a model of their own."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.state.memory import MemoryState
from records.tenants import qualified
from services.scoring import serving
from services.scoring.domain.inputs import NO_INPUTS, Inputs, names_of
from services.scoring.domain.schema import FEATURES, HISTORY, HISTORY_VERSION, SCHEMA_VERSION
from services.scoring.domain.stages import EVERYBODY, is_in_canary
from services.scoring.ports import Card, Matrix, Prediction, Served, Serving
from services.scoring.usecases import Scoring
from tests.builders import NOW_US
from tests.scoring.builders import OneTerm, batch, rows, values


class Named(OneTerm):
    """The model of one term under a name, more or less pessimistic."""

    def __init__(self, version: str, factor: float = 1.0, features: tuple[str, ...] = FEATURES) -> None:
        self.card = Card(version, "nothing", NOW_US, SCHEMA_VERSION, "", features)
        self._factor = factor

    def predict(self, rows: Matrix) -> Prediction:
        """See `services.scoring.ports.Model`."""
        prediction = super().predict(rows)
        return prediction._replace(probabilities=[each * self._factor for each in prediction.probabilities])


class Broken(Named):
    """A model that fails on every batch."""

    def predict(self, rows: Matrix) -> Prediction:
        """See `services.scoring.ports.Model`."""
        raise RuntimeError(len(rows))


class Several:
    """Models of everybody, and of the tenant acme."""

    def __init__(self, everybody: Serving, acme: Serving | None = None) -> None:
        self._served = Served({EVERYBODY: everybody} | ({"acme": acme} if acme else {}))

    def served(self) -> Served:
        """See `services.scoring.ports.Models`."""
        return self._served


PEOPLE = st.lists(st.sampled_from([f"user-{number}" for number in range(30)]), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(PEOPLE, st.floats(1, 100), st.sampled_from(["", "acme"]))
def test_each_row_is_scored_by_the_model_of_its_user_as_if_alone(users: list[str], percent: float, apart: str) -> None:
    live, canary, own = Named("live"), Named("canary", 0.5), Named("own", 0.25)
    models = Several(Serving(live, canary, percent), Serving(own) if apart else None)
    ids = [qualified("acme", user) if number % 3 == 0 else user for number, user in enumerate(users)]
    matrix = np.array([values(engagement_score=float(row)) for row in range(len(ids))])
    parts = serving.score(models.served(), ids, matrix, NO_INPUTS)
    place = {row: (part, at) for part in parts for at, row in enumerate(part.rows)}
    assert sorted(place) == list(range(len(ids)))
    for row, user_id in enumerate(ids):
        part, at = place[row]
        usual = canary if is_in_canary(user_id, "canary", percent) else live
        model = own if apart and user_id.startswith("\x1facme") else usual
        alone = model.predict(matrix[[row]])
        assert part.card.version == model.card.version
        assert part.prediction.probabilities[at] == alone.probabilities[0]
        width = len(alone.packed_terms)
        assert part.prediction.packed_terms[at * width : (at + 1) * width] == alone.packed_terms


def test_where_a_canary_fails_the_live_model_decides() -> None:
    models = Several(Serving(Named("live"), Broken("canary"), 100.0))
    (part,) = serving.score(models.served(), ["ada", "bob"], np.array([values(), values()]), NO_INPUTS)
    assert (part.card.version, list(part.rows)) == ("live", [0, 1])


def test_a_canary_whose_columns_were_not_sent_does_not_decide() -> None:
    models = Several(Serving(Named("live"), Named("canary", features=names_of(())), 100.0))
    matrix = np.array([values(), values()])
    (part,) = serving.score(models.served(), ["ada", "bob"], matrix, NO_INPUTS)
    assert part.card.version == "live"
    sent = Inputs(HISTORY_VERSION, HISTORY, np.ones((2, len(HISTORY))), (), (), np.zeros((2, 0), np.int64))
    (part,) = serving.score(models.served(), ["ada", "bob"], matrix, sent)
    assert (part.card.version, part.columns.shape) == ("canary", (2, len(names_of(()))))


def test_where_the_live_model_takes_what_was_not_sent_the_rules_decide_alone() -> None:
    models = Several(Serving(Named("live", features=names_of(()))))
    (part,) = serving.score(models.served(), ["ada"], np.array([values()]), NO_INPUTS)
    assert (part.card.version, part.prediction.probabilities) == (serving.RULES_ONLY.version, [0.0])


@pytest.mark.parametrize("users", [[], ["ada"]])
async def test_the_journal_and_the_answer_name_the_model_that_decided(users: Sequence[str]) -> None:
    store = MemoryState()
    scoring = Scoring(Several(Serving(Named("live")), Serving(Named("own"))), store)
    ids = [*users, qualified("acme", "ann")]
    assessed = await scoring.assess(rows(ids, [NOW_US] * len(ids), [values()] * len(ids)), batch(1))
    assert {assessed.model_version, *assessed.others} == ({"live", "own"} if users else {"own"})
    for user_id in ids:
        expected = "own" if "acme" in user_id else "live"
        assert (await scoring.read(user_id)).journal.model_version == expected
