"""What is asked of published data sets."""

import pytest

from offline import published
from offline.declared import label, mapping
from offline.published import Question

DECLARED = [question for question in published.QUESTIONS if question.label]


@pytest.mark.parametrize("question", DECLARED, ids=str)
def test_a_question_is_a_label_that_training_understands(question: Question) -> None:
    columns, _ = mapping.read(published.MAPPINGS / f"{question.name}.yaml")
    assert columns.name == question.name
    assert str(label.parse(question.label, columns.outcomes.keys())).startswith(question.label)
