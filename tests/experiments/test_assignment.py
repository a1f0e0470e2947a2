"""Assignment: published examples, shares, independence, and a ramp that moves nobody."""

import base64
import json
import math
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comparison.assignment import Allocation, Arm, assign, point
from services.experiments.domain.configuration import payload
from services.experiments.domain.definition import Definition, Metric
from services.experiments.domain.experiment import changed, created
from services.intervention.policy.adapters.experiments import verifier

VECTORS: Final = json.loads(Path(__file__).with_name("vectors.json").read_text())
SIGNED: Final = json.loads(Path(__file__).with_name("signed.json").read_text())
UNITS: Final = [f"user-{number}" for number in range(20_000)]
UNEVEN: Final = (Arm("control", 7), Arm("first", 2), Arm("second", 1))


@pytest.mark.parametrize("vector", VECTORS)
def test_published_examples(vector: dict[str, object]) -> None:
    arms = [Arm(name, weight) for name, weight in vector["arms"]]  # type: ignore[attr-defined]
    allocation = Allocation(vector["salt"], arms, vector["percent"], vector["holdoutPercent"])  # type: ignore[arg-type]
    assert assign(allocation, vector["unit"]) == (vector["arm"], vector["reason"])  # type: ignore[arg-type]


def test_the_published_configuration_is_what_the_service_hands_out() -> None:
    said, key = base64.b64decode(SIGNED["payload"]), base64.b64decode(SIGNED["publicKey"])
    definition = Definition(
        "tone", "", "tone", (Arm("control"), Arm("warm", 3, "Größe")), (Metric("accepted"),), None, 5.0, (25.0,)
    )
    now_us = SIGNED["issuedAt"] * 1_000_000
    running = changed(created("acme", definition, "ann", "", now_us), "start", "ann", "", now_us)
    assert payload("acme", [running], now_us) == said
    verify, signature = verifier(key.hex()), base64.b64decode(SIGNED["signature"])
    verify(said, signature)
    with pytest.raises(ValueError, match="not signed"):
        verify(said.replace(b"25.0", b"99.0"), signature)


@settings(max_examples=50)
@given(
    st.text(max_size=30),
    st.lists(st.integers(1, 10_000), min_size=2, max_size=5),
    st.floats(0, 100),
    st.floats(0, 100),
    st.floats(0, 90),
)
def test_a_ramp_moves_nobody(unit: str, weights: list[int], one: float, other: float, holdout: float) -> None:
    arms = [Arm(str(place), weight) for place, weight in enumerate(weights)]
    before, after = (assign(Allocation("salt", arms, percent, holdout), unit) for percent in sorted((one, other)))
    if before.reason != "not_included":
        assert after == before
    elif after.reason == "not_included":
        assert after.arm == "0"


def test_shares_are_as_they_were_meant_at_every_step_of_a_ramp() -> None:
    for percent, holdout in ((1.0, 0.0), (25.0, 10.0), (100.0, 10.0)):
        found = [assign(Allocation("salt", UNEVEN, percent, holdout), unit) for unit in UNITS]
        included = [each.arm for each in found if each.reason == "assigned"]
        share = percent / 100 * (1 - holdout / 100)
        assert len(included) == pytest.approx(share * len(UNITS), abs=4 * math.sqrt(share * len(UNITS)))
        for arm in UNEVEN:
            expected = len(included) * arm.weight / 10
            assert included.count(arm.name) == pytest.approx(expected, abs=4 * math.sqrt(expected))


def test_experiments_and_purposes_are_independent() -> None:
    points = [
        [point(purpose, salt, unit) - 0.5 for unit in UNITS]
        for purpose in ("holdout", "inclusion", "arm")
        for salt in ("one", "two")
    ]
    for place, first in enumerate(points):
        for second in points[:place]:
            correlation = 12 * sum(map(float.__mul__, first, second)) / len(UNITS)
            assert abs(correlation) < 4 / math.sqrt(len(UNITS))
