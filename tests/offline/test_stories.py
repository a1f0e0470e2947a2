"""What models say of made-up users."""

import numpy as np
import pytest

from offline.training import stories
from services.scoring.adapters.model_directory import ModelDirectory
from tests.scoring.builders import MODELS


def test_the_score_is_that_of_model_and_rules_with_the_weights_that_were_learned() -> None:
    registry = ModelDirectory(MODELS)
    card = registry.live().card
    shipped, learned = (
        stories.told(registry.file(card.version), card.features, weights)
        for weights in ({}, {"repeated_failures": 0.25})
    )
    assert shipped.keys() == stories.STORIES.keys()
    for name, each in shipped.items():
        if name != stories.TROUBLE:
            assert each.score == pytest.approx(100.0 * each.probability)
    trouble = shipped[stories.TROUBLE]
    assert trouble.score >= stories.ALARM > learned[stories.TROUBLE].score
    by_rule = (100.0 - trouble.score) / (100.0 * (1.0 - trouble.probability))
    expected = 100.0 * (1.0 - (1.0 - trouble.probability) * by_rule**0.25)
    assert learned[stories.TROUBLE].score == pytest.approx(expected)
    assert np.isfinite([each.score for each in learned.values()]).all()
