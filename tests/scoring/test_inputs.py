"""Models that take more than the 13 features: served where the columns are sent, else the rules alone assess."""

import math
import struct
from typing import Any, Final, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeymesh.common.v1 import position_pb2
from journeymesh.features.v1 import features_pb2
from journeymesh.scoring.v1 import scoring_pb2 as wire

from mesh.errors import InvalidArgument
from mesh.observability.metrics import Metrics
from mesh.state.memory import MemoryState
from services.scoring.domain import reasons
from services.scoring.domain.inputs import codes, names_of
from services.scoring.domain.past_reasons import PAST_REASONS
from services.scoring.domain.schema import EXTENDED_VERSION, FEATURE_COUNT, HISTORY, HISTORY_VERSION, SCHEMA_VERSION
from services.scoring.domain.stages import EVERYBODY
from services.scoring.ports import Card, Matrix, Prediction, Served, Serving
from services.scoring.servicer import ScoringServicer
from services.scoring.serving import RULES_ONLY
from services.scoring.usecases import Scoring
from tests.builders import NOW_US
from tests.scoring.builders import OneTerm, values

NO_CONTEXT: Final = cast("Any", None)
OWN = ("price.last", "plan")


class Extended:
    """A model of history and own columns, whose logit is the sum of what it takes beside the 13, over a hundred."""

    card = Card("extended-1", "nothing", NOW_US, EXTENDED_VERSION, "", names_of(OWN), {"plan": ("pro", "free")})

    def served(self) -> Served:
        """See `services.scoring.ports.Models`."""
        return Served({EVERYBODY: Serving(self)})

    def predict(self, rows: Matrix) -> Prediction:
        """See `services.scoring.ports.Model`."""
        terms = np.hstack([np.zeros((len(rows), 1)), rows / 100.0]).astype("<f4")
        terms[:, : FEATURE_COUNT + 1] = 0.0
        chances = 1.0 / (1.0 + np.exp(-terms.sum(axis=1, dtype=np.float64)))
        return Prediction(chances.tolist(), terms.tobytes())


def _inputs(**members: object) -> features_pb2.Inputs:
    given: dict[str, object] = {
        "history_version": HISTORY_VERSION,
        "names": [*HISTORY, "price.last"],
        "values": [*[1.0] * len(HISTORY), 66.0],
        "word_names": ["plan"],
        "words": ["", "free"],
        "cells": [1],
    }
    return features_pb2.Inputs(**given | members)  # type: ignore[arg-type]


def _request(sequence: int, inputs: features_pb2.Inputs | None) -> wire.AssessUsersRequest:
    return wire.AssessUsersRequest(
        position=position_pb2.BatchPosition(stream="events", shard="0", sequences=[str(sequence)]),
        user_ids=["ada"],
        event_times_us=[NOW_US],
        values=values(),
        feature_schema_version=SCHEMA_VERSION,
        inputs=inputs,
    )


@pytest.fixture
def servicer() -> ScoringServicer:
    """The service with the extended model."""
    return ScoringServicer(Scoring(Extended(), MemoryState()), Metrics())


async def test_columns_are_taken_by_name(servicer: ScoringServicer) -> None:
    answer = await servicer.AssessUsers(_request(1, _inputs()), NO_CONTEXT)
    logit = (len(HISTORY) + 66.0 + 3.0) / 100.0  # `free` is the second word that the model knows
    assert answer.model_version == "extended-1"
    assert answer.assessments[0].model_score == pytest.approx(100.0 / (1.0 + math.exp(-logit)), abs=1e-5)


async def test_everything_that_was_taken_is_explained(servicer: ScoringServicer) -> None:
    await servicer.AssessUsers(_request(1, _inputs()), NO_CONTEXT)
    risk = await servicer.GetRisk(wire.GetRiskRequest(user_id="ada"), NO_CONTEXT)
    parts = {part.name: part for part in risk.contributions}
    assert {*HISTORY, *OWN} <= parts.keys()
    assert sum(part.contribution for part in risk.contributions) == pytest.approx(risk.assessment.score)
    assert parts["price.last"].reason == "Price.last is 66"
    assert max(risk.contributions, key=lambda part: part.contribution * (part.name != "baseline")).name == "price.last"


@pytest.mark.parametrize(
    "inputs",
    [
        None,
        _inputs(history_version="history-0"),
        _inputs(word_names=[], cells=[]),
        _inputs(names=HISTORY, values=[1.0] * len(HISTORY)),
    ],
)
async def test_a_model_whose_columns_are_not_sent_is_not_asked(
    servicer: ScoringServicer, inputs: features_pb2.Inputs | None
) -> None:
    answer = await servicer.AssessUsers(_request(1, inputs), NO_CONTEXT)
    assert answer.model_version == RULES_ONLY.version
    assert answer.assessments[0].model_score == 0.0
    risk = await servicer.GetRisk(wire.GetRiskRequest(user_id="ada"), NO_CONTEXT)
    assert sum(part.contribution for part in risk.contributions) == pytest.approx(risk.assessment.score)


@pytest.mark.parametrize(
    "inputs", [_inputs(values=[1.0]), _inputs(cells=[2]), _inputs(cells=[]), _inputs(values=[math.nan] * 35)]
)
async def test_columns_that_do_not_fit_are_refused(servicer: ScoringServicer, inputs: features_pb2.Inputs) -> None:
    with pytest.raises(InvalidArgument):
        await servicer.AssessUsers(_request(1, inputs), NO_CONTEXT)


async def test_what_the_previous_version_reads_is_as_long_as_it_expects(servicer: ScoringServicer) -> None:
    store = MemoryState()
    scoring = Scoring(Extended(), store)
    await ScoringServicer(scoring, Metrics()).AssessUsers(_request(1, _inputs()), NO_CONTEXT)
    journal = (await scoring.read("ada")).journal
    assert len(struct.unpack(f"<{FEATURE_COUNT}d", journal.values)) == FEATURE_COUNT
    assert len(journal.terms) == 4 * (FEATURE_COUNT + 1)
    assert journal.own_names == [*OWN]


def test_a_word_that_the_model_does_not_know_is_another_word() -> None:
    assert codes(("pro", "free"), ("", "free", "gold", "pro")).tolist() == [0.0, 3.0, 1.0, 2.0]


@given(value=st.floats(0, 1e9), name=st.sampled_from([*HISTORY]))
def test_every_value_has_a_sentence(value: float, name: str) -> None:
    said = reasons.reason(name, value)
    assert said[0].isupper() or said[0].isdigit()
    assert not said.startswith("1 ") or said.split()[1].rstrip("s") == said.split()[1] or "success" in said
    assert PAST_REASONS.keys() == {*HISTORY}


async def test_the_answer_says_whether_any_model_in_service_takes_history() -> None:
    small, extended = OneTerm(), Extended()
    for serving, ignores in (
        (Serving(small), True),
        (Serving(small, shadow=small), True),
        (Serving(extended), False),
        (Serving(small, canary=extended, percent=1.0), False),
        (Serving(small, shadow=extended), False),
    ):
        served = Served({EVERYBODY: Serving(small), "acme": serving})
        models = type("Models", (), {"served": lambda _self, served=served: served})()
        answer = await ScoringServicer(Scoring(models, MemoryState()), Metrics()).AssessUsers(
            _request(1, None), NO_CONTEXT
        )
        assert answer.ignores_history == ignores
