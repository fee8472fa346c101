"""Training rows as the adapter will be asked: under the assistant's prompt, with its passages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from services.contracts.assistants import Profile
from services.domain.datasets.examples import INSTRUCTING, Example
from services.domain.passages import Source
from services.domain.rendering import compose

ROWS_SEEN = 600
"""Rows that an adapter sees at least, repeats counted."""

STEPS = 300
"""Steps that its training has at least; 600 rows, two a step, taught the packaged base a label."""

MOST_AT_ONCE = 8
"""Rows a step at most."""


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
    wrapped = grounded and not shows_passages(example, profile)
    prompt = compose(profile, turns, sources if wrapped else [], grounded=wrapped)
    return {"messages": [*prompt, {"role": "assistant", "content": example.answer}]}


def recipe_for(rows: int) -> dict[str, int]:
    """Write how an adapter of so many rows learns, where the recipe does not say.

    Few rows are seen more often and fewer at a time: with a few dozen steps an adapter of a small
    base does not even learn where an answer ends.
    """
    epochs = max(math.ceil(ROWS_SEEN / rows), 1)
    batch = min(max(rows * epochs // STEPS, 1), MOST_AT_ONCE)
    return {"epochs": epochs, "batch": batch}


def shows_passages(example: Example, profile: Profile) -> bool:
    """Tell whether a row's question already stands among passages, as the profile lays them out."""
    shape = profile.context
    return shape.passages_label in example.question and shape.question_label in example.question
