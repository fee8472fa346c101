"""The verdict on a candidate: adopt, reject, or insufficient and how many more cases it needs.

A candidate is adopted when it passes more cases than chance explains and is not worse at the guard
cases beyond a margin. It is rejected when it is worse, when it certainly breaks a guard, or when
whatever it gains is too little to be worth a change. Everything else is insufficient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.contracts.evaluations import ComparisonFigures, EvaluationRules, Verdict
from services.domain.evaluation.pairs import (
    CONFIDENCE,
    Difference,
    Pairs,
    cases_needed,
    difference_of,
)

SURE = 1 - CONFIDENCE
"""A p value below this is no chance."""

FEWEST_CASES = 20
"""With fewer cases nothing is adopted, however clear it looks."""

MOST_ADVISED = 100_000
"""Above this many more cases, the advice is that there is nothing to show."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """A verdict and why."""

    verdict: Verdict
    reason: str
    """In plain words."""
    more_cases: int = 0
    """About how many more would be enough, when they are insufficient."""


def rule(main: Pairs, guards: Pairs, rules: EvaluationRules | None = None) -> Ruling:
    """Rule on a candidate.

    Args:
        main: the cases that it should be better at.
        guards: those that it must not be worse at; there may be none.
    """
    rules = rules or EvaluationRules()
    found, kept = difference_of(main), difference_of(guards)
    if _breaks(kept, rules.guard_margin):
        return Ruling("reject", f"it is worse at the guard cases: {told(guards, kept)}")
    ruling = _on_loss(main, found, rules) if rules.margin else _on_gain(main, found, rules)
    if ruling.verdict != "adopt" or not guards.count or kept.low >= -rules.guard_margin:
        return ruling
    return _lacking(
        f"{ruling.reason}; but the guard cases are too few to tell that it is not worse there by "
        f"more than {rules.guard_margin:.0%} ({told(guards, kept)})",
        _to_hold(guards, kept, rules.guard_margin),
        "guard ",
    )


def in_words(found: ComparisonFigures, baseline: str) -> str:
    """Write a verdict as one would say it.

    Args:
        baseline: what the candidate was compared with.
    """
    main = found.main
    count = main.both + main.gained + main.lost + main.neither
    how, advice = _SAID[found.verdict]
    return (
        f"{how} {baseline}: {main.gained} gained, {main.lost} lost of {count}; {advice}. "
        f"{found.reason[:1].upper()}{found.reason[1:]}."
    )


_SAID: dict[Verdict, tuple[str, str]] = {
    "adopt": ("Better than", "adopt it"),
    "reject": ("Not better than", "do not adopt it"),
    "insufficient": ("Not shown to be better than", "do not adopt it yet"),
}


def told(pairs: Pairs, found: Difference) -> str:
    """Write a difference for a reader."""
    return (
        f"{pairs.gained} cases gained and {pairs.lost} lost of {pairs.count}, "
        f"{found.value:+.1%} [{found.low:+.1%}, {found.high:+.1%}], p = {found.p:.2g}"
    )


def _breaks(found: Difference, margin: float) -> bool:
    """Tell whether a loss is certain, and larger than the margin as far as one can see."""
    return found.high < -margin or (found.value < -margin and found.p < SURE)


def _on_gain(pairs: Pairs, found: Difference, rules: EvaluationRules) -> Ruling:
    if pairs.count < FEWEST_CASES:
        return _lacking(f"{pairs.count} cases are too few to tell", FEWEST_CASES - pairs.count)
    if found.p < SURE:
        better = pairs.gained > pairs.lost
        how = "better" if better else "worse"
        return Ruling("adopt" if better else "reject", f"it is {how}: {told(pairs, found)}")
    if found.high < rules.least_gain:
        return Ruling(
            "reject",
            f"no improvement: what it may gain is less than {rules.least_gain:.1%} "
            f"({told(pairs, found)})",
        )
    hoped = found.value if found.value > 0 else rules.least_gain
    return _lacking(f"no difference is shown ({told(pairs, found)})", _to_show(pairs, hoped))


def _on_loss(pairs: Pairs, found: Difference, rules: EvaluationRules) -> Ruling:
    margin = rules.margin
    if pairs.count and found.low >= -margin:
        return Ruling("adopt", f"it is not worse by more than {margin:.0%}: {told(pairs, found)}")
    if _breaks(found, margin):
        return Ruling("reject", f"it is worse: {told(pairs, found)}")
    return _lacking(
        f"it cannot be told that it is not worse by more than {margin:.0%} ({told(pairs, found)})",
        _to_hold(pairs, found, margin),
    )


def _to_show(pairs: Pairs, hoped: float) -> int:
    """Tell how many more cases would show a gain of this size, were the rest alike."""
    if hoped <= 0:
        return MOST_ADVISED + 1
    discordant = max((pairs.gained + pairs.lost) / pairs.count, hoped)
    return max(cases_needed(discordant, hoped) - pairs.count, 1)


def _to_hold(pairs: Pairs, found: Difference, margin: float) -> int:
    """Tell how many more cases would bring the lower bound above the margin, were the rest alike.

    The bound comes nearer with the square root of the number of cases.
    """
    room, reach = margin + found.value, found.value - found.low
    if room <= 0:
        return MOST_ADVISED + 1
    needed = math.ceil(max(pairs.count, 1) * (reach / room) ** 2)
    return max(needed - pairs.count, 1)


def _lacking(reason: str, more: int, kind: str = "") -> Ruling:
    if more > MOST_ADVISED:
        return Ruling("insufficient", f"{reason}; more cases like these would hardly show it", 0)
    return Ruling("insufficient", f"{reason}; about {more} more {kind}cases are needed", more)


def majority(passes: Sequence[bool]) -> bool:
    """Tell whether most of an answer's repeats passed; a tie has not."""
    return 2 * sum(passes) > len(passes)
