"""A measured rung as the decision tree sees it, and one beside another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from services.contracts.evaluations import EvaluationRules
from services.domain.evaluation.pairs import (
    CONFIDENCE,
    Difference,
    Pairs,
    cases_needed,
    difference_of,
    pairs_of,
)
from services.domain.evaluation.verdicts import FEWEST_CASES, MOST_ADVISED
from services.domain.ladder.rungs import Rung

ALIKE = 0.05
"""Two rungs are as good when one surely passes no more than this share of cases fewer."""

Outcome = Literal["better", "worse", "alike", "unsure"]
"""What chance leaves open of a difference; `alike` is no gain that is worth a change."""


@dataclass(frozen=True, slots=True)
class Step:
    """One measured rung."""

    rung: Rung
    passes: Sequence[bool]
    """By case, in the same order for every rung; guards left out."""
    guards: Sequence[bool] = ()
    usd_per_100k: float | None = None
    usd_once: float = 0.0

    @property
    def name(self) -> str:
        """The rung's."""
        return self.rung.name

    @property
    def share(self) -> float:
        """The share of cases that it passes; 0 without cases."""
        return sum(self.passes) / len(self.passes) if self.passes else 0.0


@dataclass(frozen=True, slots=True)
class Beside:
    """What a rung shows beside the one that is held."""

    step: Step
    outcome: Outcome
    pairs: Pairs
    found: Difference
    more_cases: int = 0
    """About how many more would show a gain like the one seen; 0 where none is seen."""


def beside(held: Step, step: Step, tried: int) -> Beside:
    """Compare a rung with the one that is held.

    Args:
        tried: how many rungs are compared in all, by which the chance of an error is divided.
    """
    pairs, chance = pairs_of(held.passes, step.passes), (1 - CONFIDENCE) / tried
    found = difference_of(pairs, 1 - chance)
    if pairs.count < FEWEST_CASES:
        return Beside(step, "unsure", pairs, found, FEWEST_CASES - pairs.count)
    if found.p < chance:
        return Beside(step, "better" if found.value > 0 else "worse", pairs, found)
    if found.high < EvaluationRules().least_gain:
        return Beside(step, "alike", pairs, found)
    return Beside(step, "unsure", pairs, found, _needed(pairs, found, chance))


def breaks_guards(first: Step, step: Step) -> bool:
    """Tell whether a rung surely fails guard cases that another one passes."""
    pairs, margin = pairs_of(first.guards, step.guards), EvaluationRules().guard_margin
    found = difference_of(pairs)
    if not pairs.count:
        return False
    return found.high < -margin or (found.value < -margin and found.p < 1 - CONFIDENCE)


def as_good(held: Step, step: Step) -> bool:
    """Tell whether a rung is surely not worse by more than `ALIKE`, guards included."""
    if breaks_guards(held, step):
        return False
    return difference_of(pairs_of(held.passes, step.passes)).low >= -ALIKE


def _needed(pairs: Pairs, found: Difference, chance: float) -> int:
    if found.value <= 0:
        return 0
    discordant = max((pairs.gained + pairs.lost) / pairs.count, found.value)
    more = cases_needed(discordant, found.value, confidence=1 - chance) - pairs.count
    return 0 if more > MOST_ADVISED else max(more, 1)
