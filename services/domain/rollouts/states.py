"""The states of a rollout and the ways between them.

    pending -> warming -> gating -> shadowing -> canary (step 1, 2, ...) -> promoted

A rollout without a gate or a shadow leaves that state out; one without steps is promoted instead of
becoming a canary. It can be paused, be inconclusive, or end early from any state in which it is
active; a promoted one can be rolled back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    """Where a rollout stands."""

    PENDING = "pending"
    WARMING = "warming"
    """Replicas load the candidate's adapter and prove it."""
    GATING = "gating"
    """The candidate is evaluated before anybody meets it."""
    SHADOWING = "shadowing"
    """The candidate answers copies of requests, and nobody sees its answers."""
    CANARY = "canary"
    """The candidate answers the share of the present step."""
    PAUSED = "paused"
    """Held where it stands, by somebody."""
    INCONCLUSIVE = "inconclusive"
    """Held where it stands, because the time is over and the evidence is not enough."""
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    """Ended by another change of what the assistant serves."""


class Event(StrEnum):
    """What moves a rollout."""

    START = "start"
    PROVEN = "proven"
    """Every live replica has proven the candidate's adapter."""
    ADOPT = "adopt"
    """The evaluation finds nothing against the candidate."""
    REJECT = "reject"
    """The evaluation speaks against the candidate."""
    COMPARED = "compared"
    """The answers that nobody saw are enough, and speak for the candidate."""
    ADVANCE = "advance"
    """To the next step, or past the last one."""
    INCONCLUDE = "inconclude"
    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"
    ABORT = "abort"
    FAIL = "fail"
    SUPERSEDE = "supersede"


class NotPossible(Exception):
    """The event has no meaning in the state that the rollout is in."""


MOVING = frozenset({State.PENDING, State.WARMING, State.GATING, State.SHADOWING, State.CANARY})
"""States in which a rollout goes on by itself."""

HELD = frozenset({State.PAUSED, State.INCONCLUSIVE})
"""States that are left for the state before them."""

ACTIVE = MOVING | HELD
"""States in which a rollout is not over."""

COMPARING = frozenset({State.GATING, State.SHADOWING, State.CANARY})
"""States in which evidence is gathered, of which there may be too little."""

TRANSITIONS: Mapping[tuple[State, Event], State] = {
    (State.PENDING, Event.START): State.WARMING,
    (State.WARMING, Event.PROVEN): State.GATING,
    (State.GATING, Event.ADOPT): State.SHADOWING,
    (State.GATING, Event.REJECT): State.FAILED,
    (State.SHADOWING, Event.COMPARED): State.CANARY,
    (State.CANARY, Event.ADVANCE): State.CANARY,
    **{(state, Event.INCONCLUDE): State.INCONCLUSIVE for state in COMPARING},
    (State.CANARY, Event.PROMOTE): State.PROMOTED,
    (State.PAUSED, Event.PROMOTE): State.PROMOTED,
    (State.INCONCLUSIVE, Event.PROMOTE): State.PROMOTED,
    (State.PROMOTED, Event.ROLL_BACK): State.ROLLED_BACK,
    **{(state, Event.PAUSE): State.PAUSED for state in ACTIVE - {State.PAUSED}},
    **{(state, Event.ROLL_BACK): State.ROLLED_BACK for state in ACTIVE},
    **{(state, Event.ABORT): State.ABORTED for state in ACTIVE},
    **{(state, Event.FAIL): State.FAILED for state in ACTIVE},
    **{(state, Event.SUPERSEDE): State.SUPERSEDED for state in ACTIVE},
}
"""Every way that does not depend on where the rollout was before; a stage may be left out."""

_ONWARD = frozenset({Event.PROVEN, Event.ADOPT, Event.COMPARED, Event.ADVANCE})


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a rollout stands on its way."""

    state: State
    step: int
    """The step that it is at, counted from 0; -1 before the first."""
    steps: int
    """How many steps there are; with none, a proven candidate is promoted at once."""
    held: State | None = None
    """What a held rollout goes back to."""
    gated: bool = False
    """Whether the candidate is evaluated before anybody meets it."""
    shadowed: bool = False
    """Whether it answers unseen before anybody meets it."""

    @property
    def serving(self) -> bool:
        """Whether the candidate answers callers beside the stable release."""
        state = self.held if self.state in HELD else self.state
        return state is State.CANARY


def begun(steps: int, *, gated: bool = False, shadowed: bool = False) -> Progress:
    """Stand at the beginning."""
    return Progress(State.PENDING, step=-1, steps=steps, gated=gated, shadowed=shadowed)


def after(progress: Progress, event: Event) -> Progress:
    """Tell where a rollout stands after an event.

    Raises:
        NotPossible: the event has no meaning here.
    """
    if event is Event.RESUME:
        return _resumed(progress)
    state = TRANSITIONS.get((progress.state, event))
    if state is None or (event is Event.PROMOTE and not progress.serving):
        raise NotPossible(f"{event.value} has no meaning in state {progress.state.value}")
    if event in _ONWARD:
        return _onward(progress, state)
    if state in HELD:
        before = progress.held if progress.state in HELD else progress.state
        return replace(progress, state=state, held=before)
    return replace(progress, state=state, held=None)


def _onward(progress: Progress, stage: State) -> Progress:
    """Enter a stage, or the first one after it that the rollout has."""
    if stage is State.GATING and not progress.gated:
        stage = State.SHADOWING
    if stage is State.SHADOWING and not progress.shadowed:
        stage = State.CANARY
    if stage is not State.CANARY:
        return replace(progress, state=stage)
    step = progress.step + 1
    if step >= progress.steps:
        return replace(progress, state=State.PROMOTED)
    return replace(progress, state=stage, step=step)


def _resumed(progress: Progress) -> Progress:
    if progress.state not in HELD or progress.held is None:
        raise NotPossible(f"{progress.state.value} is nothing to resume from")
    return replace(progress, state=progress.held, held=None)
