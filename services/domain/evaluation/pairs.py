"""Passed or failed on the same cases by two arms: how sure a difference is.

The exact test is McNemar's (Q. McNemar, "Note on the sampling error of the difference between
correlated proportions or percentages", Psychometrika 12, 1947) with binomial probabilities; the
interval is Tango's score interval (T. Tango, "Equivalence test and confidence interval for the
difference in proportions for the paired-sample design", Statistics in Medicine 17, 1998), which
stays wide where few cases differ; the number of cases is Miettinen's approximation as R. J. Connor
gives it ("Sample size for testing differences in proportions for the paired-sample design",
Biometrics 43, 1987).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95
"""How often an interval of this kind holds the true difference."""

POWER = 0.8
"""How often so many cases show a difference that there is."""

_BISECTIONS = 60
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Pairs:
    """How two arms did on the same cases."""

    both: int
    """Cases that both passed."""
    gained: int
    """Cases that only the candidate passed."""
    lost: int
    """Cases that only the baseline passed."""
    neither: int

    @property
    def count(self) -> int:
        """All cases."""
        return self.both + self.gained + self.lost + self.neither

    @property
    def difference(self) -> float:
        """The candidate's pass rate less the baseline's, -1 to 1; 0 without cases."""
        return (self.gained - self.lost) / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of pass rates and the interval that holds the true one."""

    value: float
    low: float
    high: float
    p: float
    """How probable so large an imbalance is where there is no difference; two-sided, exact."""


def pairs_of(baseline: Sequence[bool], candidate: Sequence[bool]) -> Pairs:
    """Count the pairs.

    Raises:
        ValueError: the lengths differ.
    """
    seen = list(zip(baseline, candidate, strict=True))
    return Pairs(
        both=seen.count((True, True)),
        gained=seen.count((False, True)),
        lost=seen.count((True, False)),
        neither=seen.count((False, False)),
    )


def difference_of(pairs: Pairs, confidence: float = CONFIDENCE) -> Difference:
    """Measure the difference with its interval and its exact test."""
    low, high = interval(pairs, confidence)
    return Difference(pairs.difference, low, high, mcnemar(pairs.gained, pairs.lost))


def mcnemar(gained: int, lost: int) -> float:
    """Compute the two-sided p value of McNemar's exact test."""
    trials, fewer = gained + lost, min(gained, lost)
    # By logarithms: the binomial numbers of many pairs are too large to be quick.
    whole = math.lgamma(trials + 1) - trials * math.log(2)
    tail = math.fsum(
        math.exp(whole - math.lgamma(hits + 1) - math.lgamma(trials - hits + 1))
        for hits in range(fewer + 1)
    )
    return min(1.0, 2 * tail)


def interval(pairs: Pairs, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Compute Tango's score interval; without cases it is everything."""
    if not pairs.count:
        return -1.0, 1.0
    limit = _NORMAL.inv_cdf((1 + confidence) / 2)

    def border(far: float) -> float:
        near = pairs.difference
        for _ in range(_BISECTIONS):
            middle = (far + near) / 2
            if abs(_score(pairs, middle)) > limit:
                far = middle
            else:
                near = middle
        return near

    return border(-1.0), border(1.0)


def cases_needed(
    discordant: float, difference: float, *, confidence: float = CONFIDENCE, power: float = POWER
) -> int:
    """Tell how many cases show a difference of pass rates with a given power.

    Args:
        discordant: the share of cases on which the arms differ, 0 to 1.
        difference: what is to be shown, in either direction; at most `discordant`.

    Raises:
        ValueError: the difference is 0, or larger than what differs at all.
    """
    size = abs(difference)
    if not 0 < size <= discordant <= 1:
        raise ValueError("a difference is above 0 and at most the share of cases that differ")
    sure, shown = _NORMAL.inv_cdf((1 + confidence) / 2), _NORMAL.inv_cdf(power)
    spread = sure * math.sqrt(discordant) + shown * math.sqrt(discordant - size * size)
    return math.ceil(spread * spread / (size * size))


def _score(pairs: Pairs, difference: float) -> float:
    """Compute Tango's statistic of a supposed difference."""
    n, gained, lost = pairs.count, pairs.gained, pairs.lost
    b = (2 * n - gained + lost) * difference - gained - lost
    c = -lost * difference * (1 - difference)
    root = math.sqrt(max(b * b - 8 * n * c, 0.0))
    share_lost = (root - b) / (4 * n)
    variance = n * (2 * share_lost + difference * (1 - difference))
    away = gained - lost - n * difference
    if variance <= 0:
        return 0.0 if abs(away) < 1e-12 else math.copysign(math.inf, away)
    return away / math.sqrt(variance)
