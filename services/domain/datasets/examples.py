"""Training rows as the checks see them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from services.contracts.datasets import Message

INSTRUCTING = ("system", "developer")
"""Roles that instruct the model."""


def plain(text: str) -> str:
    """Fold what makes equal texts look different: width, case, composition and white space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@dataclass(frozen=True)
class Example:
    """One training row."""

    line: int
    """Its line in the file, counted from 1."""
    turns: Sequence[Message]

    @cached_property
    def system(self) -> str:
        """What instructs the model, joined."""
        return "\n".join(turn.content for turn in self.turns if turn.role in INSTRUCTING)

    @cached_property
    def asked(self) -> str:
        """Everything before the last trained answer but the instructions."""
        last = self.answers[-1][0] if self.answers else len(self.turns)
        return "\n".join(turn.content for turn in self.turns[:last] if turn.role not in INSTRUCTING)

    @cached_property
    def question(self) -> str:
        """The last user turn before the last trained answer."""
        last = self.answers[-1][0] if self.answers else len(self.turns)
        said = [turn.content for turn in self.turns[:last] if turn.role == "user"]
        return said[-1] if said else ""

    @cached_property
    def answers(self) -> list[tuple[int, str]]:
        """The assistant's messages that carry loss, each with its place among the turns."""
        return [
            (place, turn.content)
            for place, turn in enumerate(self.turns)
            if turn.role == "assistant" and turn.weight != 0
        ]

    @cached_property
    def answer(self) -> str:
        """The last answer that carries loss."""
        return self.answers[-1][1] if self.answers else ""

    @cached_property
    def key(self) -> str:
        """What makes two rows ask the same."""
        return plain(self.system) + "\n" + plain(self.asked)


def sequences(example: Example) -> Iterator[tuple[list[Message], str]]:
    """Split a conversation into what is trained: for each answer, all that came before it."""
    for place, answer in example.answers:
        yield list(example.turns[:place]), answer
