"""Which training rows a rung shows or learns from; cases are never among them.

The rule: the rows are shuffled by the seed. An adapter of N rows learns from the first N. Examples
are the first rows that are short enough; where answers are labels, each label in turn gives its
first, so that none outweighs the others, and the picked ones are shuffled by the same seed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import chain, zip_longest

from services.contracts.assistants import ExampleTurn
from services.contracts.evaluation_cases import EvaluationCase, Label
from services.domain.datasets.examples import INSTRUCTING, Example
from services.domain.evaluation.texts import normalised

LONGEST_EXAMPLE = 1200
"""Characters of a question with its answer; a longer row is not shown."""


def labels_of(cases: Sequence[EvaluationCase]) -> list[str]:
    """List the labels among which every case asks to choose, guards aside; none if one does not."""
    found: dict[str, None] = {}
    for case in cases:
        checks = [check for check in case.checks if isinstance(check, Label)]
        if not checks and not case.guards:
            return []
        found |= dict.fromkeys(name for check in checks for name in check.labels)
    return list(found)


def are_brief(cases: Sequence[EvaluationCase]) -> bool:
    """Tell whether every case, guards included, asks for a label and nothing else."""
    return all(any(isinstance(check, Label) for check in case.checks) for case in cases)


def shuffled(rows: Sequence[Example], seed: int) -> list[Example]:
    """Bring rows into the order in which they are taken."""
    order = list(rows)
    random.Random(seed).shuffle(order)  # noqa: S311 - an order, not a secret
    return order


def picked(
    rows: Sequence[Example], count: int, labels: Sequence[str], seed: int
) -> list[ExampleTurn]:
    """Pick examples to show.

    Args:
        rows: in the order in which they are taken.
        labels: what the answers are, where they are labels.
    """
    fit = [row for row in rows if _is_single(row) and _length(row) <= LONGEST_EXAMPLE]
    if labels:
        names = {normalised(name): name for name in labels}
        groups: dict[str, list[Example]] = {name: [] for name in names}
        for row in fit:
            if (name := normalised(row.answer)) in groups:
                groups[name].append(row)
        in_turn = chain.from_iterable(zip_longest(*groups.values()))
        fit = [row for row in in_turn if row is not None]
    chosen = fit[:count]
    random.Random(seed).shuffle(chosen)  # noqa: S311 - an order, not a secret
    return [ExampleTurn(user=row.question, assistant=row.answer) for row in chosen]


def _is_single(row: Example) -> bool:
    return sum(turn.role not in INSTRUCTING for turn in row.turns) == 2


def _length(row: Example) -> int:
    return len(row.question) + len(row.answer)
