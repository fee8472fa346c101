"""Encoding: the loss lies on the answer and its end-of-turn token, and nowhere else."""

from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerFast

from services.tuner.datasets.encoding import (
    IGNORED,
    EncodedRow,
    count_tokens,
    encode_row,
    encode_rows,
)
from services.tuner.datasets.rows import Row, RowError
from tests.unit.tuner.conftest import parsed, row

END = "<end_of_turn>"


def _row(question: str, answer: str, line: int = 1) -> Row:
    return parsed(row(question, answer), line)


def test_only_the_answer_and_its_end_are_trained(tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = encode_row(_row("언제 열었나요?", "1904년 [1]"), tokenizer, END)
    trained = [label for label in encoded.labels if label != IGNORED]
    assert tokenizer.decode(trained) == "1904년 [1]<end_of_turn>"
    assert encoded.labels[-1] == tokenizer.convert_tokens_to_ids(END)


def test_the_prompt_is_what_the_engine_would_see(tokenizer: PreTrainedTokenizerFast) -> None:
    encoded = encode_row(_row("When?", "1904 [1]"), tokenizer, END)
    prompt = [token for token, label in zip(*_columns(encoded), strict=True) if label == IGNORED]
    text = str(tokenizer.decode(prompt))
    assert text.startswith("<bos>Passages:\n[1] Mill")
    assert text.endswith("Question: When?\n\nAnswer:\n")
    assert text.count("<bos>") == 1


def test_a_template_that_adds_text_before_the_answer_is_refused(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    with pytest.raises(RowError) as refusal:
        encode_row(_row("When?", "1904"), tokenizer, "<another_end>")
    assert refusal.value.code == "row_template"


def test_a_row_over_the_limit_stops_the_training(tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [_row("When?", "1904"), _row("When?" * 50, "1904", line=2)]
    with pytest.raises(RowError, match="Line 2") as refusal:
        encode_rows(rows, tokenizer, end_of_turn=END, max_length=200)
    assert refusal.value.code == "row_too_long"


def test_trained_tokens_are_counted() -> None:
    rows = [
        EncodedRow([1, 2, 3, 4], [IGNORED, IGNORED, 3, 4]),
        EncodedRow([1, 2, 3], [IGNORED, 2, IGNORED]),
    ]
    count = count_tokens(rows)
    assert (count.rows, count.tokens, count.trained, count.longest) == (2, 7, 3, 4)
    assert (count.trained_min, count.trained_mean) == (1, 1.5)


def test_a_row_without_loss_is_refused() -> None:
    with pytest.raises(RowError) as refusal:
        count_tokens([EncodedRow([1], [1]), EncodedRow([1, 2], [IGNORED, IGNORED])])
    assert (refusal.value.code, refusal.value.line) == ("row_untrained", 2)


def _columns(encoded: EncodedRow) -> tuple[list[int], list[int]]:
    return encoded.input_ids, encoded.labels
