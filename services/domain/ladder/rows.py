"""Training rows as the adapter will be asked: under the assistant's prompt, with its passages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from services.contracts.assistants import Profile
from services.domain.datasets.examples import INSTRUCTING, Example
from services.domain.rendering import PASSAGES_LABEL, QUESTION_LABEL, Source, compose

ROWS_SEEN = 600
"""Rows that an adapter sees at least, repeats counted."""


def training_row(
    example: Example, profile: Profile, sources: Sequence[Source], *, grounded: bool
) -> dict[str, Any]:
    """Write a row for a training file.

    A system text of the row's own that is another than the profile's stays, for the gate to see.

    Args:
        sources: the passages that were found for its question, best first.
        grounded: whether the adapter will be served with passages; a row that holds some stays.
    """
    last = example.answers[-1][0]
    turns = [
        turn.model_dump(exclude_none=True)
        for turn in example.turns[:last]
        if turn.role not in INSTRUCTING or turn.content.strip() != profile.system.strip()
    ]
    wrapped = grounded and not shows_passages(example)
    prompt = compose(profile, turns, sources if wrapped else [], grounded=wrapped)
    return {"messages": [*prompt, {"role": "assistant", "content": example.answer}]}


def epochs_for(rows: int) -> int:
    """Tell how often an adapter of so many rows sees each, where the recipe does not say.

    Few rows are seen more often: below a few hundred in all an adapter of a small base does not
    even learn where an answer ends.
    """
    return max(math.ceil(ROWS_SEEN / rows), 1)


def shows_passages(example: Example) -> bool:
    """Tell whether a row's question already stands among passages."""
    return PASSAGES_LABEL in example.question and QUESTION_LABEL in example.question
