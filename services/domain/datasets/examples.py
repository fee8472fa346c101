"""Training rows as the checks see them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from services.contracts.assistants import ContextTemplate
from services.contracts.datasets import Message

INSTRUCTING = ("system", "developer")
"""Roles that instruct the model."""

QUESTION_LABEL = ContextTemplate().question_label
"""What a question stands behind, where no profile is known."""

_PASSAGES = re.compile(rf"\A{re.escape(ContextTemplate().passages_label)}|^\[1\]", re.MULTILINE)


def plain(text: str) -> str:
    """Fold what makes equal texts look different: width, case, composition and white space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def bare(turn: str, label: str = QUESTION_LABEL) -> str:
    """Take a question out of a user turn that opens with the label, or that shows passages first.

    A turn that shows anything else asks about that, and stays as it is.
    """
    if label not in turn:
        return turn
    opened = list(_opening(label).finditer(turn))
    if opened and _PASSAGES.search(turn, 0, opened[-1].start()):
        return turn[opened[-1].end() :]
    return turn[opened[0].end() :] if opened and opened[0].start() == 0 else turn


@lru_cache(maxsize=16)
def _opening(label: str) -> re.Pattern[str]:
    """Match the start of a line that opens with the label."""
    return re.compile(rf"^{re.escape(label)}\s+(?=\S)", re.MULTILINE)


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

    def asks(self, label: str = QUESTION_LABEL) -> list[str]:
        """List the question of each trained answer, without passages and folded.

        Args:
            label: what a question stands behind where passages come before it.
        """
        trained, said, found = {place for place, _ in self.answers}, "", list[str]()
        for place, turn in enumerate(self.turns):
            if turn.role == "user":
                said = turn.content
            elif place in trained:
                found.append(plain(bare(said, label)))
        return found

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
