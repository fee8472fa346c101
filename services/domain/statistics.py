"""How sure a measured mean is: intervals by resampling, and pairs that were asked the same.

Efron's percentile bootstrap (B. Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals
of Statistics 7, 1979). Resampling is seeded, so equal values always give equal intervals.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

RESAMPLES = 2000
"""Resampled means behind one interval; the bounds are then steady to about a tenth of its width."""

CONFIDENCE = 0.95
"""How often an interval of this kind holds the true mean."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and the interval that holds the true one at the confidence asked for."""

    mean: float
    low: float
    high: float
    count: int
    """How many values it is the mean of."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two ways on the same questions: the mean of `other - first`, question by question."""

    difference: Estimate
    better: int
    """Questions on which the other was better."""
    worse: int
    """Questions on which it was worse."""

    @property
    def is_gain(self) -> bool:
        """Whether the other is better by more than chance explains."""
        return self.difference.low > 0

    @property
    def is_loss(self) -> bool:
        """Whether the other is worse by more than chance explains."""
        return self.difference.high < 0


def estimate(
    values: Sequence[float], *, confidence: float = CONFIDENCE, resamples: int = RESAMPLES
) -> Estimate:
    """Estimate a mean with its percentile-bootstrap interval.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("there is no mean of no values")
    chance = random.Random(0)  # noqa: S311 - resampling, not secrets
    means = sorted(fmean(chance.choices(values, k=len(values))) for _ in range(resamples))
    tail = (1 - confidence) / 2
    low, high = means[int(tail * resamples)], means[int((1 - tail) * resamples) - 1]
    return Estimate(fmean(values), low, high, len(values))


def proportion(hits: int, trials: int, *, confidence: float = CONFIDENCE) -> Estimate:
    """Estimate a share with Wilson's score interval, which no share of 0 or 1 makes certain.

    E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", Journal of
    the American Statistical Association 22, 1927.

    Raises:
        ValueError: nothing was tried.
    """
    if not trials:
        raise ValueError("there is no share of no trials")
    z, share = NormalDist().inv_cdf((1 + confidence) / 2), hits / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    reach = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    reach /= 1 + z * z / trials
    return Estimate(share, max(middle - reach, 0.0), min(middle + reach, 1.0), trials)


def compare(first: Sequence[float], other: Sequence[float]) -> Comparison:
    """Compare two ways that were asked the same questions in the same order.

    Pairing takes out how hard the questions are, so that smaller gains show than two separate
    intervals would.

    Raises:
        ValueError: the lengths differ, or there are no questions.
    """
    gains = [theirs - ours for ours, theirs in zip(first, other, strict=True)]
    return Comparison(
        estimate(gains), sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    )
