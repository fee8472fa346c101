"""Training rows of a teacher's answers: their shape, and those that say the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from services.contracts.datasets import DatasetPolicy, TrainingRow
from services.domain.datasets.examples import Example, plain
from services.domain.datasets.likeness import alike
from services.domain.rendering import Message


def training_row(messages: Sequence[Message], answer: str) -> dict[str, Any]:
    """Write a row in OpenAI's chat shape: only the answer at its end is trained.

    Examples and earlier answers of the prompt bear `weight: 0`.
    """
    shown = [
        {**message, "weight": 0} if message["role"] == "assistant" else dict(message)
        for message in messages
    ]
    return {"messages": [*shown, {"role": "assistant", "content": answer}]}


def prompt_hash(messages: Sequence[Message]) -> str:
    """Name what stands before the answer: sha256 of it as JSON."""
    text = json.dumps(list(messages), ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def repeats(rows: Sequence[dict[str, Any]], policy: DatasetPolicy) -> dict[int, str]:
    """Find the rows that an earlier one makes needless: `duplicate` or `near_duplicate`, by place.

    Likeness is what the data set gate goes by.
    """
    examples = [Example(n, TrainingRow.model_validate(row).turns) for n, row in enumerate(rows)]
    found, seen = dict[int, str](), set[tuple[str, str]]()
    for example in examples:
        content = (example.key, plain(example.answer))
        if content in seen:
            found[example.line] = "duplicate"
        seen.add(content)
    kept = [example for example in examples if example.line not in found]
    return found | dict.fromkeys(alike(kept, policy), "near_duplicate")
