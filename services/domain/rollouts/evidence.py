"""Comparing two arms while they run, at any time and as often as one likes.

Each rate has a confidence sequence: bounds that hold at every moment at once with the stated
probability, so that looking again and again does no harm. It is the set of rates p for which the
mixture likelihood ratio

    B(a + s, b + f) / B(a, b) / (p^s (1 - p)^f)

stays below 1/alpha, for s events in s + f trials and a uniform mixture (a = b = 1); by Ville's
inequality the true rate leaves it at any time with probability alpha at most (Robbins, Statistical
Methods Related to the Law of the Iterated Logarithm, 1970; Howard et al., Time-uniform,
Nonparametric, Nonasymptotic Confidence Sequences, 2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_BISECTIONS = 60


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something happened."""

    events: int
    trials: int

    @property
    def share(self) -> float:
        """The observed rate, 0 where nothing was tried."""
        return self.events / self.trials if self.trials else 0.0


@dataclass(frozen=True, slots=True)
class Check:
    """A rate that must not be higher on the candidate, beyond a margin."""

    name: str
    margin: float
    """How much higher it may be; a difference of rates, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check says at the moment."""

    check: Check
    stable: Rate
    candidate: Rate
    worse: bool
    """Whether the candidate is certainly worse by more than the margin."""


def bounds(rate: Rate, alpha: float) -> tuple[float, float]:
    """Bound a rate at every moment at once, with probability 1 - alpha.

    Raises:
        ValueError: alpha is not between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is between 0 and 1, not {alpha}")
    if rate.trials == 0:
        return 0.0, 1.0
    hits, misses = rate.events, rate.trials - rate.events
    limit = -math.log(alpha)
    mixture = math.lgamma(hits + 1) + math.lgamma(misses + 1) - math.lgamma(rate.trials + 2)

    def outside(p: float) -> bool:
        return mixture - _log_power(p, hits) - _log_power(1 - p, misses) >= limit

    centre = rate.share
    low = _border(outside, 0.0, centre) if hits else 0.0
    high = _border(outside, 1.0, centre) if misses else 1.0
    return low, high


def findings(
    checks: Sequence[Check],
    stable: Mapping[str, Rate],
    candidate: Mapping[str, Rate],
    *,
    false_alarms: float,
) -> list[Finding]:
    """Compare two arms by several checks.

    Args:
        stable: the rates of the stable arm, by the checks' names.
        candidate: those of the candidate.
        false_alarms: the probability that any check ever finds a candidate worse that is not; it
            is shared out to the checks and to the two arms.
    """
    alpha = false_alarms / (2 * max(len(checks), 1))
    found = []
    for check in checks:
        here, there = stable[check.name], candidate[check.name]
        _, most = bounds(here, alpha)
        least, _ = bounds(there, alpha)
        found.append(Finding(check, here, there, worse=least > most + check.margin))
    return found


def _log_power(base: float, exponent: int) -> float:
    if exponent == 0:
        return 0.0
    return exponent * math.log(base) if base > 0 else -math.inf


def _border(outside: Callable[[float], bool], far: float, near: float) -> float:
    for _ in range(_BISECTIONS):
        middle = (far + near) / 2
        if outside(middle):
            far = middle
        else:
            near = middle
    return far
