"""How probable it is that what was found answers the question.

A logistic regression over what a search knows anyway: how similar the best passage is, how far it
is ahead of the others, and how many of the question's words one passage holds. It was fitted by
`benchmarks/answerability.py` on questions in English and Korean, each asked once with the documents
that answer it and once without them, and on questions about something else altogether. The
similarities are those of the packaged embedding model; with another model fit it again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.retriever.lexical import question_weights, tokens

LOOKED_AT = 5
"""Passages whose similarities are compared."""

READ = 3
"""Passages of which one should hold the question's words."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a search found, in three figures."""

    similarity: float
    """Cosine of the passage that is most similar."""
    margin: float
    """How far that one is above the mean of the other passages; 0 when it is alone."""
    coverage: float
    """The largest share of the question's telling words that one passage holds, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Fit:
    """The coefficients of the regression."""

    constant: float
    similarity: float
    margin: float
    coverage: float

    def probability(self, evidence: Evidence) -> float:
        """Tell how probable an answer is, 0 to 1."""
        strength = (
            self.constant
            + self.similarity * evidence.similarity
            + self.margin * evidence.margin
            + self.coverage * evidence.coverage
        )
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, strength))))


PACKAGED = Fit(constant=-22.4, similarity=21.6, margin=30.5, coverage=5.9)
"""Fitted to the packaged embedding model in 8-bit integers."""


def evidence_of(question: str, found: Sequence[tuple[str, float]]) -> Evidence | None:
    """Weigh what was found: text and similarity of each passage, best first; none for nothing."""
    if not found:
        return None
    similarities = sorted((similarity for _, similarity in found[:LOOKED_AT]), reverse=True)
    best, *others = similarities
    margin = best - sum(others) / len(others) if others else 0.0
    asked = {token for token, weight in question_weights(question).items() if weight == 1}
    held = [len(asked & set(tokens(text))) for text, _ in found[:READ]]
    return Evidence(best, margin, max(held) / len(asked) if asked else 0.0)


def answerability(question: str, found: Sequence[tuple[str, float]], fit: Fit = PACKAGED) -> float:
    """Tell how probable it is that one of the passages answers; 0 when there is none."""
    evidence = evidence_of(question, found)
    return 0.0 if evidence is None else round(fit.probability(evidence), 4)
