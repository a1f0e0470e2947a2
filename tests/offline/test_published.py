"""What is asked of published data sets."""

from pathlib import Path

import pytest

from offline.datasets import published
from offline.datasets.published import Question
from offline.declared import label, mapping

DECLARED = [question for question in published.QUESTIONS if question.label]


@pytest.mark.parametrize("question", DECLARED, ids=str)
def test_a_question_is_a_label_that_training_understands(question: Question) -> None:
    columns, _ = mapping.read(Path(published.__file__).parent / "mappings" / f"{question.name}.yaml")
    assert columns.name == question.name
    assert str(label.parse(question.label, columns.outcomes.keys())).startswith(question.label)
