"""From the answers of every rung to the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.evaluations import AnswerResult
from services.contracts.ladder import (
    LadderAdvice,
    LadderPrices,
    RungComparison,
    RungFigures,
    RungTraining,
)
from services.domain.evaluation.figures import Run, arm_figures, pair_figures
from services.domain.evaluation.verdicts import majority
from services.domain.ladder.advice import advise
from services.domain.ladder.money import break_even, usd_per_100k
from services.domain.ladder.rungs import Rung
from services.domain.ladder.steps import Step


@dataclass(frozen=True, slots=True)
class Climbed:
    """A rung whose every case was asked."""

    rung: Rung
    answers: Sequence[AnswerResult]
    training: RungTraining | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What the figures are worked out by."""

    prices: LadderPrices
    concurrent: int
    enough: float
    retrieves: bool


def measured(
    cases: Sequence[EvaluationCase], climbed: Sequence[Climbed], terms: Terms
) -> tuple[list[RungFigures], LadderAdvice]:
    """Work out the figures of every rung, and the advice.

    Args:
        climbed: in the order of the ladder; the first is what the others begin from.

    Raises:
        ValueError: there is no rung of one's own.
    """
    steps = [_step(cases, one, terms) for one in climbed]
    advice = advise(steps, enough=terms.enough, retrieves=terms.retrieves)
    taken = next(step for step in steps if step.name == advice.rung)
    yardstick = _cheapest(steps, terms.enough) or taken
    found = []
    for place, (one, step) in enumerate(zip(climbed, steps, strict=True)):
        run, before = Run(step.name, one.answers), _below(steps, place)
        good = sorted(answer.milliseconds for answer in one.answers if answer.error is None)
        found.append(
            RungFigures(
                name=step.name,
                figures=arm_figures(cases, run),
                p50_ms=quantile(good, 0.5),
                p95_ms=quantile(good, 0.95),
                cached_tokens=fmean(answer.cached_tokens for answer in one.answers),
                usd_per_100k=step.usd_per_100k,
                training=one.training,
                below=_comparison(before, step, before.name) if before else None,
                first=_comparison(steps[0], step, steps[0].name) if place > 1 else None,
                advised=None if step is taken else _comparison(step, taken, taken.name),
                break_even_requests=_from_requests(yardstick, step),
            )
        )
    return found, advice


def quantile(values: Sequence[float], share: float) -> float:
    """Find the value below which a share of sorted values lies, linear between two; 0 of none."""
    if not values:
        return 0.0
    place = share * (len(values) - 1)
    low, high = math.floor(place), math.ceil(place)
    return values[low] + (values[high] - values[low]) * (place - low)


def _step(cases: Sequence[EvaluationCase], one: Climbed, terms: Terms) -> Step:
    passed = _passed(one.answers)
    return Step(
        one.rung,
        [passed[case.id] for case in cases if not case.guards],
        [passed[case.id] for case in cases if case.guards],
        usd_per_100k(one.rung, one.answers, terms.prices, terms.concurrent),
        (one.training.usd or 0.0) if one.training else 0.0,
    )


def _passed(answers: Sequence[AnswerResult]) -> Mapping[str, bool]:
    """Tell which cases most repeats passed."""
    by_case: dict[str, list[bool]] = {}
    for answer in answers:
        by_case.setdefault(answer.case, []).append(answer.passed)
    return {case: majority(passes) for case, passes in by_case.items()}


def _below(steps: Sequence[Step], place: int) -> Step | None:
    """Find the rung below; of a hosted model it is the same rung on one's own base."""
    hosted = steps[place].rung
    if hosted.target is None:
        return steps[place - 1] if place else None
    same = [step for step in steps if step.rung.on(hosted.target) == hosted and step.rung != hosted]
    return same[0] if same else steps[0]


def _cheapest(steps: Sequence[Step], enough: float) -> Step | None:
    """Find the cheapest rung that is good enough, where prices are known."""
    found = [
        (step.usd_per_100k, step)
        for step in steps
        if step.usd_per_100k is not None and step.share >= enough
    ]
    return min(found, key=lambda one: one[0])[1] if found else None


def _from_requests(yardstick: Step, step: Step) -> int | None:
    if step is yardstick or step.usd_per_100k is None or yardstick.usd_per_100k is None:
        return None
    return break_even(yardstick.usd_per_100k, yardstick.usd_once, step.usd_per_100k, step.usd_once)


def _comparison(base: Step, step: Step, name: str) -> RungComparison:
    """Compare a step with another one; guards are cases like any other here."""
    before, after = [*base.passes, *base.guards], [*step.passes, *step.guards]
    return RungComparison(rung=name, pairs=pair_figures(before, after))
