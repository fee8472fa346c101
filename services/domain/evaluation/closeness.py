"""Checks of how close an answer comes to the expected one: ROUGE-L, embeddings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from services.contracts.evaluation_cases import RougeL, Similar
from services.contracts.evaluations import CheckResult
from services.domain.evaluation.answers import Answer, Vector
from services.domain.evaluation.matching import scored
from services.domain.evaluation.texts import tokens, without_markers

COMPARED_TOKENS = 2000
"""How much of a text ROUGE-L compares; its work grows with the product of both lengths."""


def rouge_l(check: RougeL, expected: str | None, answer: Answer) -> CheckResult:
    """Compare by the longest common subsequence."""
    score = rouge_l_of(without_markers(answer.text), check.reference or expected or "")
    return scored(check.kind, score, check.at_least)


def similar(
    check: Similar, expected: str | None, answer: Answer, vectors: Mapping[str, Vector]
) -> CheckResult:
    """Compare by the cosine of the embeddings.

    Raises:
        KeyError: one of the two texts has no vector.
    """
    said, wanted = embedded_texts(check, expected, answer)
    score = max(0.0, cosine(vectors[said], vectors[wanted]))
    return scored(check.kind, score, check.at_least, "embedding")


def embedded_texts(check: Similar, expected: str | None, answer: Answer) -> tuple[str, str]:
    """Name the two texts whose vectors are compared."""
    return without_markers(answer.text).strip() or ".", check.reference or expected or "."


def rouge_l_of(said: str, wanted: str) -> float:
    """Compute ROUGE-L's F measure with equal weight of precision and recall.

    F = 2 LCS / (m + n) over the tokens of `texts.tokens` (C.-Y. Lin, "ROUGE: A Package for
    Automatic Evaluation of Summaries", 2004).
    """
    first, other = tokens(said)[:COMPARED_TOKENS], tokens(wanted)[:COMPARED_TOKENS]
    if not first or not other:
        return 0.0
    return 2 * _common(first, other) / (len(first) + len(other))


def cosine(first: Vector, other: Vector) -> float:
    """Tell the cosine of the angle between two vectors; 0 where one has no direction."""
    lengths = math.sqrt(math.fsum(x * x for x in first) * math.fsum(x * x for x in other))
    return math.fsum(x * y for x, y in zip(first, other, strict=True)) / lengths if lengths else 0.0


def _common(first: Sequence[str], other: Sequence[str]) -> int:
    """Measure the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for token in first:
        diagonal = 0
        for at, wanted in enumerate(other, start=1):
            above = row[at]
            row[at] = diagonal + 1 if token == wanted else max(above, row[at - 1])
            diagonal = above
    return row[-1]
