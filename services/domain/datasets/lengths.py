"""How long the training sequences are, in the base's own tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.contracts.datasets import Finding, Message
from services.domain.datasets.examples import Example, sequences
from services.domain.datasets.findings import Kind, share

TOO_LONG = Kind(
    "row_too_long",
    "error",
    "Shorten these rows or raise max_length; nothing is cut silently.",
)


class TokenCounter(Protocol):
    """Counts the tokens of a conversation with its answer, as the base's template renders it."""

    def __call__(self, turns: Sequence[Message], answer: str) -> int:
        """Count them."""
        ...


@dataclass(frozen=True, slots=True)
class Lengths:
    """The tokens of a file."""

    tokens: int | None
    longest: int | None
    findings: list[Finding]


def measured(
    examples: Sequence[Example], count: TokenCounter | None, max_tokens: int | None
) -> Lengths:
    """Count every sequence that would be trained; nothing without a counter."""
    if count is None:
        return Lengths(None, None, [])
    total, longest, long = 0, 0, list[int]()
    for example in examples:
        lengths = [count(turns, answer) for turns, answer in sequences(example)]
        total += sum(lengths)
        longest = max(longest, *lengths)
        if max_tokens is not None and max(lengths) > max_tokens:
            long.append(example.line)
    told = f"{share(len(long), len(examples))} have more than {max_tokens} tokens"
    return Lengths(total, longest, [TOO_LONG.found(told, long)] if long else [])
