"""Rows as token ids, with the loss on the completion and its end-of-turn token only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.contracts.datasets import Message
from services.tuner.datasets.rows import Row, RowError

IGNORED = -100
"""The label of a token that carries no loss."""


class ChatTokenizer(Protocol):
    """What encoding needs of a Hugging Face tokenizer."""

    def apply_chat_template(self, conversation: Any, **options: Any) -> Any:
        """Render messages through the chat template."""

    def encode(self, text: str, **options: Any) -> list[int]:
        """Turn text into token ids."""


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """One row ready for the trainer."""

    input_ids: list[int]
    labels: list[int]

    @property
    def trained(self) -> int:
        """How many tokens carry loss."""
        return sum(label != IGNORED for label in self.labels)


@dataclass(frozen=True, slots=True)
class TokenCount:
    """How much of a data set is trained, counted before training starts."""

    rows: int
    tokens: int
    trained: int
    trained_min: int
    trained_mean: float
    trained_max: int
    longest: int


def encode_row(row: Row, tokenizer: ChatTokenizer, end_of_turn: str) -> EncodedRow:
    """Encode one row exactly as the engine will meet it.

    Prompt and completion are tokenised apart, because at serving the prompt's tokens are fixed
    before the first token of the answer exists.

    Raises:
        RowError: `row_template` when the template does not render the answer right after the
            prompt, and `row_boundary` when joint tokenisation disagrees with the two halves.
    """
    prompt = [_turn(message) for message in row.prompt]
    answer = [{"role": "assistant", "content": row.answer}]
    head = tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template([*prompt, *answer], tokenize=False)
    tail = row.answer + end_of_turn
    if not whole.startswith(head + tail):
        raise RowError(
            "row_template",
            "the chat template does not render the prompt, the answer and the end-of-turn token "
            "in a row; use the template that the base is served with.",
        )
    head_ids = tokenizer.encode(head, add_special_tokens=False)
    tail_ids = tokenizer.encode(tail, add_special_tokens=False)
    if tokenizer.encode(head + tail, add_special_tokens=False) != head_ids + tail_ids:
        raise RowError(
            "row_boundary",
            "the answer's first token merges with the prompt's last; remove the answer's leading "
            "white space.",
        )
    return EncodedRow(head_ids + tail_ids, [IGNORED] * len(head_ids) + tail_ids)


def _turn(message: Message) -> dict[str, str]:
    """Write a message for the template, which knows a developer as the system."""
    role = "system" if message.role == "developer" else message.role
    return {"role": role, "content": message.content}


def encode_rows(
    rows: Sequence[Row], tokenizer: ChatTokenizer, *, end_of_turn: str, max_length: int
) -> list[EncodedRow]:
    """Encode every row; a row that would lose tokens stops the training instead of shrinking.

    Raises:
        RowError: as `encode_row`, and `row_too_long`.
    """
    encoded = []
    for row in rows:
        try:
            ids = encode_row(row, tokenizer, end_of_turn)
        except RowError as error:
            raise RowError(error.code, str(error), row.line) from error
        if len(ids.input_ids) > max_length:
            raise RowError(
                "row_too_long",
                f"the row has {len(ids.input_ids)} tokens and the limit is {max_length}; shorten "
                "it or raise --max-length.",
                row.line,
            )
        encoded.append(ids)
    return encoded


def count_tokens(rows: Sequence[EncodedRow]) -> TokenCount:
    """Count what will be trained.

    Raises:
        RowError: `row_untrained` when a row carries no loss at all.
    """
    trained = [row.trained for row in rows]
    for number, count in enumerate(trained, start=1):
        if count == 0:
            raise RowError("row_untrained", "no token of the row carries loss.", number)
    lengths = [len(row.input_ids) for row in rows]
    return TokenCount(
        rows=len(rows),
        tokens=sum(lengths),
        trained=sum(trained),
        trained_min=min(trained),
        trained_mean=sum(trained) / len(trained),
        trained_max=max(trained),
        longest=max(lengths),
    )
