"""The sentences in which a ladder gives its advice and its reasons."""

from __future__ import annotations

from services.contracts.evaluations import Verdict
from services.domain.ladder.money import break_even
from services.domain.ladder.steps import Beside, Step


def opening(first: Step, enough: float) -> str:
    """Say where the ladder begins."""
    is_enough = first.share >= enough
    judged = "which is enough" if is_enough else f"less than the {enough:.0%} that are enough"
    return f"{first.name} passes {first.share:.0%} of the cases, {judged}."


def headline(verdict: Verdict, held: Step, enough: float, more: int, *, is_first: bool) -> str:
    """Say the advice in one sentence.

    Args:
        more: about how many more cases are needed.
        is_first: whether the rung is the one that the ladder begins with.
    """
    share = f"{held.share:.0%} of the cases"
    if verdict == "insufficient":
        return (
            f"The cases are not enough to tell: stay at {held.name} ({share}) and measure again "
            f"with about {more} more."
        )
    if verdict == "reject":
        return (
            f"Stay at {held.name}: it passes {share}, no other rung is better, and nothing is "
            "adopted without an improvement."
        )
    if held.share >= enough:
        least = "is the least that can be done" if is_first else "no cheaper rung does"
        return f"Answer with {held.name}: it passes {share}, which is enough, and {least}."
    return (
        f"Answer with {held.name}: it passes {share}, the most that is shown, but less than the "
        f"{enough:.0%} that are enough."
    )


def reason(held: Step, seen: Beside, *, is_enough: bool, breaks: bool) -> str:
    """Say what became of a rung.

    Args:
        is_enough: whether the rung that is held is good enough.
        breaks: whether this one breaks a guard.
    """
    step, figures = seen.step, figures_of(seen)
    if breaks:
        return f"{step.name} is not taken: it fails guard cases that others pass ({figures})."
    if is_enough:
        so = {
            "better": f"is better still than {held.name}, which is enough already",
            "worse": f"is worse than {held.name}",
            "alike": f"is no improvement over {held.name}, which is enough",
            "unsure": f"is not surely better than {held.name}, which is enough",
        }[seen.outcome]
        return f"{step.name} {so} ({figures})."
    if seen.outcome == "better":
        return f"{step.name} is better than {held.name} ({figures}): {_because(held, step)}."
    if seen.outcome == "worse":
        return f"{step.name} is not taken: it is worse than {held.name} ({figures})."
    if seen.outcome == "alike":
        return f"{step.name} is not taken: no improvement over {held.name} ({figures})."
    more = f"; about {seen.more_cases} more cases would show it" if seen.more_cases else ""
    return f"{step.name} is not taken: not surely better than {held.name} ({figures}{more})."


def hosted(held: Step, seen: Beside) -> str:
    """Set a hosted model beside the rung that is taken."""
    step = seen.step
    so = {
        "better": "is better than",
        "worse": "is worse than",
        "alike": "is no improvement over",
        "unsure": "is not surely different from",
    }[seen.outcome]
    text = f"{step.name} {so} {held.name} ({figures_of(seen)})"
    if held.usd_per_100k is None or step.usd_per_100k is None:
        return f"{text}."
    money = f"{usd(step.usd_per_100k)} against {usd(held.usd_per_100k)} for 100,000 requests"
    volume = break_even(step.usd_per_100k, 0.0, held.usd_per_100k, held.usd_once)
    pays = "" if volume is None else f", so {held.name} pays off from {volume:,} requests on"
    return f"{text}; it costs {money}{pays}."


def figures_of(seen: Beside) -> str:
    """Write what a comparison rests on."""
    found, pairs = seen.found, seen.pairs
    return (
        f"{seen.step.share:.0%}, {pairs.gained} gained and {pairs.lost} lost of {pairs.count}, "
        f"{found.value:+.1%}, p = {found.p:.2g}"
    )


def usd(amount: float) -> str:
    """Write an amount of US dollars."""
    return f"${amount:,.0f}" if amount >= 100 else f"${amount:,.2f}"


def _because(held: Step, step: Step) -> str:
    """Say what a gain tells of the task."""
    rung, before = step.rung, held.rung
    if rung.retrieval and not before.retrieval:
        return "the answers are facts that stand in the documents, and facts belong there"
    if rung.rows is not None and before.rows is None:
        return "no prompt conveys what the rows teach, as with a voice, a form or a set of labels"
    if rung.rows is not None:
        return "more rows taught it more"
    if rung.schema:
        return "a schema can say the form, and that needs no training"
    if rung.steps:
        return "it needs steps before the answer"
    return "the prompt can show what it could not say"
