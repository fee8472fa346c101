"""Training a style classifier: logistic regression by stochastic gradient descent, in Python.

Steps are scaled for each weight as AdaGrad does (J. Duchi, E. Hazan, Y. Singer, "Adaptive
Subgradient Methods for Online Learning and Stochastic Optimization", JMLR 12, 2011), so that rare
pieces learn as fast as frequent ones. The same rows give the same classifier.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from services.contracts.styles import StyleModel, StyleRow
from services.domain.evaluation.styles import pieces, probabilities, softmax

PASSES = 4
"""Over the rows."""

RATE = 0.5
"""The first step of each weight."""

FEWEST_ROWS_OF_PIECE = 2
"""A piece of one row only tells nothing."""

MOST_PIECES = 50_000
"""The most frequent ones; more make the file larger and the classifier no better."""

FEWEST_ROWS = 10
"""Of each label."""

HELD_OUT = 0.2
"""Share of the rows that judge a classifier trained on the others."""

_DIGITS = 4
"""Of a weight in the file."""


class StyleRowsError(ValueError):
    """The rows cannot train a classifier; the text says why and how to mend it."""


@dataclass(slots=True)
class _Learner:
    labels: list[str]
    bias: list[float]
    weights: dict[str, list[float]]
    steps: dict[str, list[float]]
    bias_steps: list[float]

    def learn(self, found: Sequence[str], label: int) -> None:
        """Take one step towards the label of one row."""
        scale = 1 / math.sqrt(max(1, len(found)))
        sums = list(self.bias)
        for piece in found:
            for place, weight in enumerate(self.weights[piece]):
                sums[place] += weight * scale
        gradients = softmax(sums)
        gradients[label] -= 1.0
        for place, gradient in enumerate(gradients):
            self.bias_steps[place] += gradient * gradient
            self.bias[place] -= RATE * gradient / (1e-6 + math.sqrt(self.bias_steps[place]))
        scaled = [gradient * scale for gradient in gradients]
        for piece in found:
            weights, steps = self.weights[piece], self.steps[piece]
            for place, gradient in enumerate(scaled):
                steps[place] += gradient * gradient
                weights[place] -= RATE * gradient / (1e-6 + math.sqrt(steps[place]))


def train_styles(rows: Sequence[StyleRow]) -> StyleModel:
    """Train on all rows, and say how right a classifier trained on four fifths of them is.

    Raises:
        StyleRowsError: there are fewer than two labels, or too few rows of one.
    """
    counts = Counter(row.label for row in rows)
    if len(counts) < 2:
        raise StyleRowsError("the rows have one label only; a style is told from another one")
    if few := [label for label, count in sorted(counts.items()) if count < FEWEST_ROWS]:
        raise StyleRowsError(
            f"{', '.join(map(repr, few))} has fewer than {FEWEST_ROWS} rows; gather more, or leave "
            "the label out"
        )
    shown, unseen = _split(rows)
    judged = _fitted(shown)
    right = sum(likeliest(judged, row.text) == row.label for row in unseen)
    accuracy = right / len(unseen)
    return _fitted(rows).model_copy(update={"held_out": len(unseen), "accuracy": accuracy})


def likeliest(model: StyleModel, text: str) -> str:
    """Name the most probable style of a text."""
    likely = probabilities(model, text)
    return max(likely, key=likely.__getitem__)


def _split(rows: Sequence[StyleRow]) -> tuple[list[StyleRow], list[StyleRow]]:
    """Hold a share of the texts out; a text that stands twice stays on one side."""
    texts = sorted({row.text for row in rows})
    random.Random(0).shuffle(texts)  # noqa: S311 - a sample, not a secret
    unseen = set(texts[: max(1, round(len(texts) * HELD_OUT))])
    return (
        [row for row in rows if row.text not in unseen],
        [row for row in rows if row.text in unseen],
    )


def _fitted(rows: Sequence[StyleRow]) -> StyleModel:
    labels = sorted({row.label for row in rows})
    cut = [(pieces(row.text), labels.index(row.label)) for row in rows]
    counts = Counter(piece for found, _ in cut for piece in found)
    kept = [piece for piece, count in sorted(counts.items()) if count >= FEWEST_ROWS_OF_PIECE]
    kept = sorted(kept, key=lambda piece: (-counts[piece], piece))[:MOST_PIECES]
    learner = _Learner(
        labels,
        [0.0] * len(labels),
        {piece: [0.0] * len(labels) for piece in kept},
        {piece: [0.0] * len(labels) for piece in kept},
        [0.0] * len(labels),
    )
    known = [(sorted(found & learner.weights.keys()), label) for found, label in cut]
    order = random.Random(0)  # noqa: S311 - an order, not a secret
    for _ in range(PASSES):
        order.shuffle(known)
        for found, label in known:
            learner.learn(found, label)
    return StyleModel(
        labels=labels,
        bias=[round(one, _DIGITS) for one in learner.bias],
        weights={
            piece: [round(one, _DIGITS) for one in each]
            for piece, each in sorted(learner.weights.items())
        },
        rows=len(rows),
        held_out=0,
        accuracy=0.0,
    )
