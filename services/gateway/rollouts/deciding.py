"""What happens to a rollout next: a pure decision from what is known of it now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.contracts.rollouts import Analysis, Gate, QueryCheck, Rollout, Shadow
from services.domain.rollouts.evidence import Check, Finding
from services.domain.rollouts.states import Event

_OF_SEEN_ANSWERS = ("slow_answers", "slow_streams", "bad_feedback")


@dataclass(frozen=True, slots=True)
class Decision:
    """An event, and why."""

    event: Event
    reason: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a candidate that answers callers."""

    findings: Sequence[Finding]
    """What the checks say of everything since it began to answer."""
    answers: int
    """How many answers it has given in the present step, or unseen in all."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a Prometheus says to one query of an analysis."""

    check: QueryCheck
    value: float | None
    why: str | None = None
    """Why there is no value; continues `the query`."""

    @property
    def broken(self) -> str | None:
        """Say which threshold the value breaks; None when it breaks none, or there is no value."""
        least, most = self.check.at_least, self.check.at_most
        if self.value is None:
            return None
        if most is not None and self.value > most:
            return f"the query {self.check.query!r} says {self.value:g}, more than {most:g}"
        if least is not None and self.value < least:
            return f"the query {self.check.query!r} says {self.value:g}, less than {least:g}"
        return None


def checks_of(analysis: Analysis) -> list[Check]:
    """List the checks that an analysis asks for."""
    margins = {
        "errors": analysis.errors,
        "abstentions": analysis.abstentions,
        "invalid_citations": analysis.invalid_citations,
        "uncited_answers": analysis.uncited_answers,
        "unsupported_answers": analysis.unsupported_answers,
        "slow_answers": analysis.slow_answers,
        "slow_streams": analysis.slow_streams,
        "long_answers": analysis.long_answers,
        "costly_answers": analysis.costly_answers,
        "bad_feedback": analysis.bad_feedback,
    }
    return [Check(name, margin) for name, margin in margins.items() if margin is not None]


def checks_unseen(analysis: Analysis) -> list[Check]:
    """List the checks of answers that nobody sees: they have no reader and may wait their turn."""
    return [check for check in checks_of(analysis) if check.name not in _OF_SEEN_ANSWERS]


def on_warming(
    waiting: Sequence[str], failed: str | None, *, elapsed: float, patience: float
) -> Decision | None:
    """Decide on a rollout whose adapter is being loaded.

    Args:
        waiting: the replicas that have yet to prove it.
        failed: why one of them cannot serve it.
        elapsed: seconds since it began to warm.
        patience: how long it may take.
    """
    if failed is not None:
        return Decision(Event.FAIL, failed)
    if not waiting:
        return Decision(Event.PROVEN, "every live replica has proven the candidate")
    if elapsed > patience:
        names = ", ".join(sorted(waiting))
        return Decision(Event.FAIL, f"not proven in {patience:g} s by {names}")
    return None


def on_gating(gate: Gate, verdict: Decision | None, *, elapsed: float) -> Decision | None:
    """Decide on a candidate that is being evaluated.

    Args:
        verdict: what the evaluation says, None while it runs.
        elapsed: seconds since it began.
    """
    if verdict is None and elapsed > gate.max_duration_seconds:
        return Decision(
            Event.INCONCLUDE,
            f"the evaluation by {gate.cases!r} was not over in {gate.max_duration_seconds:g} s",
        )
    return verdict


def on_shadowing(shadow: Shadow, seen: Seen, *, elapsed: float) -> Decision | None:
    """Decide on a candidate that answers copies of requests unseen.

    Args:
        elapsed: seconds since it began to, this time.
    """
    if worse := _worse(seen):
        return worse
    if seen.answers >= shadow.min_samples:
        return Decision(Event.COMPARED, f"nothing speaks against it in {seen.answers} unseen pairs")
    if elapsed > shadow.max_duration_seconds:
        missing = shadow.min_samples - seen.answers
        return Decision(
            Event.INCONCLUDE,
            f"{seen.answers} requests were answered by both in {elapsed:.0f} s; it needs {missing} "
            "more: a greater percent, a greater token budget, or a less busy engine",
        )
    return None


def on_canary(
    rollout: Rollout, seen: Seen | None, *, elapsed: float, measured: Sequence[Measured] = ()
) -> Decision | None:
    """Decide on a candidate that answers callers.

    Args:
        seen: None when the rollout goes by time alone.
        elapsed: seconds since the present step began.
        measured: the answers to its queries; one without a value never takes a candidate back.
    """
    if seen is not None and (worse := _worse(seen)):
        return worse
    if broken := [each.broken for each in measured if each.broken]:
        return Decision(Event.ROLL_BACK, "; ".join(broken))
    if elapsed < rollout.steps[rollout.step].hold_seconds:
        return None
    analysis = rollout.analysis
    if seen is None or analysis is None:
        return Decision(Event.ADVANCE, _advance(rollout))
    missing = _missing(analysis, seen, measured, elapsed)
    if not missing:
        return Decision(Event.ADVANCE, _advance(rollout))
    if elapsed > analysis.max_duration_seconds:
        return Decision(Event.INCONCLUDE, "; ".join(missing))
    return None


def _missing(
    analysis: Analysis, seen: Seen, measured: Sequence[Measured], elapsed: float
) -> list[str]:
    """Say what a step still needs before the next one."""
    missing = []
    if seen.answers < analysis.min_samples:
        missing.append(
            f"the candidate gave {seen.answers} answers in {elapsed:.0f} s; it needs "
            f"{analysis.min_samples - seen.answers} more, or a greater weight"
        )
    missing += [f"the query {each.check.query!r} {each.why}" for each in measured if each.why]
    return missing


def _worse(seen: Seen) -> Decision | None:
    worse = [finding for finding in seen.findings if finding.worse]
    return Decision(Event.ROLL_BACK, "; ".join(map(_complaint, worse))) if worse else None


def _advance(rollout: Rollout) -> str:
    if rollout.step + 1 >= len(rollout.steps):
        return "every step is over and nothing speaks against the candidate"
    return f"step {rollout.step + 1} of {len(rollout.steps)} is over"


def _complaint(finding: Finding) -> str:
    here, there = finding.candidate, finding.stable
    beyond = f" by more than {finding.check.margin:g}" if finding.check.margin else ""
    return (
        f"the candidate is worse{beyond} at {finding.check.name.replace('_', ' ')}: "
        f"{here.events} of {here.trials} against {there.events} of {there.trials}"
    )
