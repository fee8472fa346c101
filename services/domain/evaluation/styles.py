"""Telling the style of a text by its characters, in Korean and in English.

Multinomial logistic regression on whether pieces of 1 to 3 characters occur: endings such as
`습니다` and `거든`, contractions, capitals and signs tell a register without a tokenizer.
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Sequence

from services.contracts.evaluation_cases import InStyle
from services.contracts.evaluations import CheckResult
from services.contracts.styles import StyleModel
from services.domain.evaluation.answers import Answer
from services.domain.evaluation.matching import scored, told
from services.domain.evaluation.texts import without_markers

SIZES = range(1, 4)
"""Characters of a piece; longer ones cost half as much again and tell no more."""

READ_CHARACTERS = 4000
"""How much of a text is read."""


def style(check: InStyle, answer: Answer, model: StyleModel | None) -> CheckResult:
    """Look up how probable the wanted style is."""
    if model is None or check.style not in model.labels:
        known = ", ".join(model.labels) if model else "no classifier"
        return told(check.kind, passed=False, why=f"{known} knows no style {check.style!r}")
    likely = probabilities(model, without_markers(answer.text))
    first = max(likely, key=likely.__getitem__)
    found = scored(check.kind, likely[check.style], check.at_least, "classifier")
    return found.model_copy(update={"why": f"{first} by {likely[first]:.2f}; {found.why}"})


def probabilities(model: StyleModel, text: str) -> dict[str, float]:
    """Tell how probable each style is, 0 to 1, together 1."""
    sums = list(model.bias)
    found = [weights for piece in pieces(text) if (weights := model.weights.get(piece))]
    scale = 1 / math.sqrt(max(1, len(found)))
    for weights in found:
        for place, weight in enumerate(weights):
            sums[place] += weight * scale
    return dict(zip(model.labels, softmax(sums), strict=True))


def pieces(text: str) -> set[str]:
    """Cut a text into its pieces, its beginning and end marked."""
    line = " ".join(unicodedata.normalize("NFC", text).split())[:READ_CHARACTERS]
    framed = f"\x02{line}\x03"
    return {
        framed[at : at + size] for size in SIZES for at in range(max(0, len(framed) - size + 1))
    }


def softmax(sums: Sequence[float]) -> list[float]:
    """Turn sums into probabilities."""
    top = max(sums)
    powers = [math.exp(one - top) for one in sums]
    whole = math.fsum(powers)
    return [power / whole for power in powers]


def style_hash(model: StyleModel) -> str:
    """Name a classifier by its content: 12 hex of sha256."""
    return hashlib.sha256(model.model_dump_json().encode()).hexdigest()[:12]
