"""Cases and prompts share what they ask; a case alone needs an id and something to check."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from services.contracts.distillation import DistilPrompt
from services.contracts.evaluation_cases import EvaluationCase, Question
from services.domain.evaluation.cases import dataset_hash

CASE: dict[str, Any] = {"id": "a", "question": "When?", "expected": "1904", "tags": ["t"]}


def test_every_case_is_also_a_prompt() -> None:
    assert DistilPrompt.model_validate(CASE).asked == EvaluationCase.model_validate(CASE).asked


def test_a_prompt_needs_neither_an_id_nor_anything_to_check() -> None:
    bare = {"question": "When?"}
    assert DistilPrompt.model_validate(bare).id is None
    with pytest.raises(ValidationError, match="Field required"):
        EvaluationCase.model_validate(bare)
    with pytest.raises(ValidationError, match="nothing can be checked"):
        EvaluationCase.model_validate({**bare, "id": "a"})


@pytest.mark.parametrize("shape", [DistilPrompt, EvaluationCase])
def test_both_ask_one_question_or_a_conversation_that_ends_with_the_user(
    shape: type[Question],
) -> None:
    turns = [{"role": "user", "content": "When?"}, {"role": "assistant", "content": "1904."}]
    with pytest.raises(ValidationError, match="either a `question` or `messages`"):
        shape.model_validate({**CASE, "messages": turns[:1]})
    with pytest.raises(ValidationError, match="the user's turn"):
        shape.model_validate({**CASE, "question": None, "messages": turns})


def test_the_name_of_a_kept_set_stays_what_it_was() -> None:
    assert dataset_hash([EvaluationCase.model_validate(CASE)]) == "50282f82d7ee"
