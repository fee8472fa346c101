"""Which rung to take: the cheapest that is good enough, or else the best that is surely better.

The tree. The rungs are tried from the one of least effort up: prompts, then documents, then an
adapter. A rung is taken over the one below only when it passes more cases than chance explains
(McNemar's exact test, divided by the number of rungs that are tried, after Bonferroni), and only
while the one below is not good enough: no improvement, no adoption. What would break a guard is not
taken. Where nothing is shown, the advice is how many more cases would show it. At the end it says
which cheaper way is as good, and what to try next: new facts belong into documents, a form that a
schema can say needs no training, a voice or a scheme of labels that no prompt conveys is what an
adapter is for, and a large model that does it well can teach a small one.

Hosted models are no rungs of one's own effort; each is compared with the rung that is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from services.contracts.evaluations import EvaluationRules, Verdict
from services.contracts.ladder import LadderAdvice
from services.domain.evaluation.pairs import (
    CONFIDENCE,
    Difference,
    Pairs,
    cases_needed,
    difference_of,
    pairs_of,
)
from services.domain.evaluation.verdicts import FEWEST_CASES, MOST_ADVISED
from services.domain.ladder.money import PRICED_REQUESTS, break_even
from services.domain.ladder.rungs import Rung

ENOUGH = 0.85
"""The share of cases from which a rung is good enough, unless one says otherwise."""

ALIKE = 0.05
"""Two rungs are as good when one passes surely no more than this share of cases fewer."""

GOOD_SIZE = 500
"""Training rows from which an adapter shows what it can."""

Outcome = Literal["better", "worse", "alike", "unsure"]


@dataclass(frozen=True, slots=True)
class Step:
    """One measured rung as the tree sees it."""

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
class _Told:
    """What became of a rung beside the one that was held."""

    step: Step
    outcome: Outcome
    pairs: Pairs
    found: Difference
    more_cases: int = 0


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
    held, reasons, unsure = own[0], [_opening(own[0], enough)], list[_Told]()
    for step in own[1:]:
        told = _beside(held, step, tried)
        is_enough, breaks = held.share >= enough, _breaks_guards(own[0], step)
        reasons.append(_reason(held, told, is_enough=is_enough, breaks=breaks))
        if breaks or is_enough:
            continue
        if told.outcome == "better":
            held, unsure = step, []
        elif told.outcome == "unsure" and told.found.value > 0 and told.more_cases:
            unsure.append(told)
    reasons += [_hosted(held, step, tried) for step in steps if step.rung.target is not None]
    hoped = max(unsure, key=lambda told: told.found.value, default=None)
    verdict = _verdict(own[0], held, hoped, enough)
    return LadderAdvice(
        verdict=verdict,
        rung=held.name,
        headline=_headline(verdict, own, held, hoped, enough),
        reasons=reasons,
        next_steps=list(_next(steps, held, hoped, enough, retrieves=retrieves)),
        more_cases=hoped.more_cases if hoped else 0,
    )


def _beside(held: Step, step: Step, tried: int) -> _Told:
    pairs = pairs_of(held.passes, step.passes)
    chance = (1 - CONFIDENCE) / tried
    found = difference_of(pairs, 1 - chance)
    if pairs.count < FEWEST_CASES:
        return _Told(step, "unsure", pairs, found, FEWEST_CASES - pairs.count)
    if found.p < chance:
        return _Told(step, "better" if found.value > 0 else "worse", pairs, found)
    if found.high < EvaluationRules().least_gain:
        return _Told(step, "alike", pairs, found)
    return _Told(step, "unsure", pairs, found, _needed(pairs, found, chance))


def _needed(pairs: Pairs, found: Difference, chance: float) -> int:
    """Tell how many more cases would show a gain like the one seen; 0 where none is seen."""
    if found.value <= 0:
        return 0
    discordant = max((pairs.gained + pairs.lost) / pairs.count, found.value)
    more = cases_needed(discordant, found.value, confidence=1 - chance) - pairs.count
    return 0 if more > MOST_ADVISED else max(more, 1)


def _breaks_guards(first: Step, step: Step) -> bool:
    pairs = pairs_of(first.guards, step.guards)
    found, margin = difference_of(pairs), EvaluationRules().guard_margin
    return bool(pairs.count) and (
        found.high < -margin or (found.value < -margin and found.p < 1 - CONFIDENCE)
    )


def _verdict(first: Step, held: Step, hoped: _Told | None, enough: float) -> Verdict:
    if held is not first:
        return "adopt"
    if len(first.passes) < FEWEST_CASES or (first.share < enough and hoped is not None):
        return "insufficient"
    return "adopt" if first.share >= enough else "reject"


def _headline(
    verdict: Verdict, own: Sequence[Step], held: Step, hoped: _Told | None, enough: float
) -> str:
    share = f"{held.share:.0%} of the cases"
    if verdict == "insufficient":
        more = hoped.more_cases if hoped else FEWEST_CASES - len(held.passes)
        return (
            f"The cases are not enough to tell: stay at {held.name} ({share}) and measure again "
            f"with about {more} more cases."
        )
    if verdict == "reject":
        return (
            f"Stay at {held.name}: it passes {share}, no other rung is better, and nothing is "
            "adopted without an improvement."
        )
    if held.share >= enough:
        least = "the first rung that does" if held is not own[0] else "the cheapest one"
        return f"Answer with {held.name}: it passes {share}, which is enough, and is {least}."
    return (
        f"Answer with {held.name}: it passes {share}, the most that is shown, but not {enough:.0%}."
    )


def _opening(first: Step, enough: float) -> str:
    is_enough = "enough" if first.share >= enough else f"less than the {enough:.0%} that are enough"
    return f"{first.name} passes {first.share:.0%} of the cases, {is_enough}."


def _reason(held: Step, told: _Told, *, is_enough: bool, breaks: bool) -> str:
    step, figures = told.step, _figures(told)
    if breaks:
        return (
            f"{step.name} is not taken: it fails guard cases that {held.name} passes ({figures})."
        )
    if is_enough:
        so = {
            "better": f"is better still than {held.name}, which is enough already",
            "worse": f"is worse than {held.name}",
            "alike": f"is no improvement over {held.name}, which is enough",
            "unsure": f"is not surely better than {held.name}, which is enough",
        }[told.outcome]
        return f"{step.name} {so} ({figures})."
    if told.outcome == "better":
        return f"{step.name} is better than {held.name} ({figures}): {_because(held, step)}."
    if told.outcome == "worse":
        return f"{step.name} is not taken: it is worse than {held.name} ({figures})."
    if told.outcome == "alike":
        return f"{step.name} is not taken: no improvement over {held.name} ({figures})."
    more = f"; about {told.more_cases} more cases would show it" if told.more_cases else ""
    return f"{step.name} is not taken: not surely better than {held.name} ({figures}{more})."


def _because(held: Step, step: Step) -> str:
    """Say what the gain tells of the task."""
    rung, before = step.rung, held.rung
    if rung.rows is not None:
        if before.rows is not None and before.rows < rung.rows:
            return "more rows taught it more"
        return "no prompt conveys what the rows teach"
    if rung.retrieval and not before.retrieval:
        return "the answers are facts that stand in the documents, and facts belong there"
    if rung.schema:
        return "a schema can say the form, and that needs no training"
    if rung.steps:
        return "it needs steps before the answer"
    return "the prompt can show what it could not say"


def _hosted(held: Step, step: Step, tried: int) -> str:
    told = _beside(held, step, tried)
    so = {
        "better": "is better than",
        "worse": "is worse than",
        "alike": "is no improvement over",
        "unsure": "is not surely different from",
    }[told.outcome]
    text = f"{step.name} passes {step.share:.0%} and {so} {held.name} ({_figures(told)})"
    if held.usd_per_100k is None or step.usd_per_100k is None:
        return f"{text}."
    money = f"{_usd(step.usd_per_100k)} against {_usd(held.usd_per_100k)} for 100,000 requests"
    volume = break_even(step.usd_per_100k, 0.0, held.usd_per_100k, held.usd_once)
    if volume is None:
        return f"{text}; it costs {money}."
    return (
        f"{text}; it costs {money}, so {held.name} has paid for itself after {volume:,} requests."
    )


def _next(
    steps: Sequence[Step], held: Step, hoped: _Told | None, enough: float, *, retrieves: bool
) -> Iterator[str]:
    if hoped is not None:
        yield (
            f"{hoped.step.name} may be better than {held.name} by {hoped.found.value:+.0%}: about "
            f"{hoped.more_cases} more cases would show it."
        )
    yield from _cheaper(steps, held)
    if held.share >= enough:
        return
    rows = max((step.rung.rows or 0 for step in steps), default=0)
    if not retrieves:
        yield "Where the answers are facts, put them into documents and bind a collection."
    if not rows:
        yield "Where it is a voice, a form or a scheme of labels, measure lora-100 and lora-1000."
    elif rows < GOOD_SIZE:
        yield f"{GOOD_SIZE} to 1,000 clean rows are a good size; {rows} were trained on."
    elif held.rung.rows == rows:
        yield f"More than {rows} rows may teach it more; each ten times as many are a rung."
    better = [s for s in steps if s.rung.target is not None and s.share > held.share]
    if better:
        best = max(better, key=lambda step: step.share)
        told = f"{best.name} passes {best.share:.0%}"
        yield f"{told}: let it write rows that an adapter learns from."
    else:
        yield "A larger base, or a hosted model with --target, shows how far the task goes."


def _cheaper(steps: Sequence[Step], held: Step) -> Iterator[str]:
    """Name the cheapest rung of one's own that is surely not much worse and costs less."""
    found = []
    for step in steps:
        if step is held or step.rung.target is not None:
            continue
        if step.usd_per_100k is None or held.usd_per_100k is None:
            continue
        as_good = difference_of(pairs_of(held.passes, step.passes)).low >= -ALIKE
        if step.usd_per_100k < held.usd_per_100k and as_good and not _breaks_guards(held, step):
            found.append((step.usd_per_100k, step))
    if not found:
        return
    cost, step = min(found, key=lambda one: one[0])
    assert held.usd_per_100k is not None
    volume = break_even(held.usd_per_100k, held.usd_once, cost, step.usd_once)
    assert volume is not None
    yield (
        f"{step.name} is not worse than {held.name} by more than {ALIKE:.0%} and costs "
        f"{_usd(cost)} for {PRICED_REQUESTS:,} requests instead of {_usd(held.usd_per_100k)}: from "
        f"{volume:,} requests on it is the cheaper way."
    )


def _figures(told: _Told) -> str:
    found, pairs = told.found, told.pairs
    return (
        f"{told.step.share:.0%}, {pairs.gained} gained and {pairs.lost} lost of {pairs.count}, "
        f"{found.value:+.1%}, p = {found.p:.2g}"
    )


def _usd(amount: float) -> str:
    return f"${amount:,.0f}" if amount >= 100 else f"${amount:,.2f}"
