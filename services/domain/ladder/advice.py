"""Which rung to take: the cheapest that is good enough, or else the best that is surely better.

The tree. The rungs are tried from the one of least effort up: prompts, then documents, then an
adapter. A rung is taken over the one that is held only while that one is not good enough, and only
when it passes more cases than chance explains (McNemar's exact test, its 5 % divided by the number
of rungs that are tried, after Bonferroni): no improvement, no adoption. What breaks a guard is not
taken. Where nothing is shown, the advice is how many more cases would show it.

Hosted models are no rungs of one's own effort; each is compared with the rung that is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.contracts.evaluations import Verdict
from services.contracts.ladder import LadderAdvice
from services.domain.evaluation.verdicts import FEWEST_CASES
from services.domain.ladder import wording
from services.domain.ladder.following import next_steps
from services.domain.ladder.steps import Beside, Step, beside, breaks_guards

ENOUGH = 0.85
"""The share of cases from which a rung is good enough, unless one says otherwise."""


def advise(steps: Sequence[Step], *, enough: float = ENOUGH, retrieves: bool) -> LadderAdvice:
    """Decide by the tree.

    Args:
        steps: in the order of the ladder, at least one of one's own.
        enough: the share of cases from which a rung is good enough.
        retrieves: whether the assistant has documents.

    Raises:
        ValueError: there is no rung of one's own.
    """
    own = [step for step in steps if step.rung.target is None]
    if not own:
        raise ValueError("a hosted model alone is no ladder")
    tried = max(len(own) - 1, 1)
    held, unsure = own[0], list[Beside]()
    reasons = [wording.opening(held, enough)]
    for step in own[1:]:
        seen, is_enough = beside(held, step, tried), held.share >= enough
        breaks = breaks_guards(own[0], step)
        reasons.append(wording.reason(held, seen, is_enough=is_enough, breaks=breaks))
        if breaks or is_enough:
            continue
        if seen.outcome == "better":
            held, unsure = step, []
        elif seen.outcome == "unsure" and seen.found.value > 0 and seen.more_cases:
            unsure.append(seen)
    hosted = [beside(held, step, tried) for step in steps if step.rung.target is not None]
    reasons += [wording.hosted(held, seen) for seen in hosted]
    hoped = max(unsure, key=lambda seen: seen.found.value, default=None)
    verdict = _verdict(own[0], held, hoped, enough)
    more = _more_cases(held, hoped, verdict)
    return LadderAdvice(
        verdict=verdict,
        rung=held.name,
        headline=wording.headline(verdict, held, enough, more, is_first=held is own[0]),
        reasons=reasons,
        next_steps=list(next_steps(steps, held, hoped, enough, retrieves=retrieves)),
        more_cases=more,
    )


def _verdict(first: Step, held: Step, hoped: Beside | None, enough: float) -> Verdict:
    if held is not first:
        return "adopt"
    if len(first.passes) < FEWEST_CASES or (first.share < enough and hoped is not None):
        return "insufficient"
    return "adopt" if first.share >= enough else "reject"


def _more_cases(held: Step, hoped: Beside | None, verdict: Verdict) -> int:
    if hoped is not None:
        return hoped.more_cases
    return FEWEST_CASES - len(held.passes) if verdict == "insufficient" else 0
