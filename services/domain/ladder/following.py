"""What to try next, by what the ladder showed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.domain.ladder.money import PRICED_REQUESTS, break_even
from services.domain.ladder.steps import ALIKE, Beside, Step, as_good
from services.domain.ladder.wording import usd

GOOD_SIZE = 500
"""Training rows from which an adapter shows what it can."""


def next_steps(
    steps: Sequence[Step], held: Step, hoped: Beside | None, enough: float, *, retrieves: bool
) -> Iterator[str]:
    """Say what to try.

    Args:
        held: the rung that is taken.
        hoped: the one that more cases might show to be better.
    """
    if hoped is not None:
        yield (
            f"{hoped.step.name} may be better than {held.name} by {hoped.found.value:+.0%}: about "
            f"{hoped.more_cases} more cases would show it."
        )
    yield from _cheaper(steps, held)
    if held.share >= enough:
        yield from _lighter(held)
        return
    if not retrieves:
        yield "Where the answers are facts, put them into documents and bind a collection."
    yield from _rows(steps, held)
    yield from _larger(steps, held)


def _cheaper(steps: Sequence[Step], held: Step) -> Iterator[str]:
    """Name the cheapest rung of one's own that is as good and costs less by the request."""
    if held.usd_per_100k is None:
        return
    found = [
        (step.usd_per_100k, step)
        for step in steps
        if step.rung.target is None
        and step.usd_per_100k is not None
        and step.usd_per_100k < held.usd_per_100k
        and as_good(held, step)
    ]
    if not found:
        return
    cost, step = min(found, key=lambda one: one[0])
    volume = break_even(held.usd_per_100k, held.usd_once, cost, step.usd_once)
    yield (
        f"{step.name} is not worse than {held.name} by more than {ALIKE:.0%} and costs {usd(cost)} "
        f"for {PRICED_REQUESTS:,} requests instead of {usd(held.usd_per_100k)}: from {volume:,} "
        "requests on it is the cheaper way."
    )


def _lighter(held: Step) -> Iterator[str]:
    rung = held.rung
    if rung.rows is None and (rung.examples or rung.steps):
        paid = "examples" if rung.examples else "steps"
        yield (
            f"Every request pays for the {paid} of {held.name}; where cost or latency matters, an "
            "adapter that learns from its answers needs none."
        )


def _rows(steps: Sequence[Step], held: Step) -> Iterator[str]:
    most = max((step.rung.rows or 0 for step in steps), default=0)
    if not most:
        yield "Where it is a voice, a form or a set of labels, measure lora-100 and lora-1000."
    elif most < GOOD_SIZE:
        yield f"{GOOD_SIZE} to 1,000 clean rows are a good size; {most} were trained on."
    elif held.rung.rows == most:
        yield f"More than {most:,} rows may teach it more; measure with ten times as many."


def _larger(steps: Sequence[Step], held: Step) -> Iterator[str]:
    better = [step for step in steps if step.rung.target and step.share > held.share]
    if not better:
        yield "A larger base, or a hosted model with --target, shows how far the task goes."
        return
    best = max(better, key=lambda step: step.share)
    yield f"{best.name} passes {best.share:.0%}: let it write rows that an adapter learns from."
