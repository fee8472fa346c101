"""Rollouts move along their ways and no others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.rollouts.states import (
    ACTIVE,
    HELD,
    Event,
    NotPossible,
    Progress,
    State,
    after,
    begun,
)

ENDED = frozenset(State) - ACTIVE
CANARY = (Event.START, Event.PROVEN)


def walked(steps: int, *events: Event, gated: bool = False, shadowed: bool = False) -> Progress:
    progress = begun(steps, gated=gated, shadowed=shadowed)
    for event in events:
        progress = after(progress, event)
    return progress


def test_a_canary_goes_step_by_step_and_is_promoted_after_the_last() -> None:
    seen = [walked(2, *CANARY, *[Event.ADVANCE] * number) for number in range(3)]
    assert [(p.state, p.step, p.serving) for p in seen] == [
        (State.CANARY, 0, True),
        (State.CANARY, 1, True),
        (State.PROMOTED, 1, False),
    ]


def test_without_steps_what_is_proven_is_promoted() -> None:
    assert walked(0, *CANARY).state is State.PROMOTED


def test_a_candidate_is_evaluated_then_answers_unseen_then_meets_callers() -> None:
    way = (Event.START, Event.PROVEN, Event.ADOPT, Event.COMPARED, Event.ADVANCE)
    seen = [walked(1, *way[:number], gated=True, shadowed=True) for number in range(6)]
    assert [p.state for p in seen] == [
        State.PENDING,
        State.WARMING,
        State.GATING,
        State.SHADOWING,
        State.CANARY,
        State.PROMOTED,
    ]
    assert [p.serving for p in seen] == [False, False, False, False, True, False]


def test_what_passes_its_gate_without_steps_is_promoted() -> None:
    assert walked(0, *CANARY, Event.ADOPT, gated=True).state is State.PROMOTED
    assert walked(2, *CANARY, Event.ADOPT, gated=True).state is State.CANARY
    assert walked(2, *CANARY, shadowed=True).state is State.SHADOWING


def test_what_its_gate_rejects_has_failed() -> None:
    assert walked(2, *CANARY, Event.REJECT, gated=True).state is State.FAILED
    with pytest.raises(NotPossible):
        walked(2, *CANARY, Event.REJECT)


@pytest.mark.parametrize("event", [Event.PAUSE, Event.INCONCLUDE])
@pytest.mark.parametrize("further", [(), (Event.ADOPT,)])
def test_without_evidence_nothing_is_promoted(event: Event, further: tuple[Event, ...]) -> None:
    before = walked(2, *CANARY, *further, gated=True, shadowed=True)
    held = after(before, event)
    assert not held.serving
    for progress in (before, held):
        with pytest.raises(NotPossible):
            after(progress, Event.PROMOTE)
    assert after(held, Event.RESUME) == before


@pytest.mark.parametrize("event", [Event.PAUSE, Event.INCONCLUDE])
def test_what_is_held_serves_as_before_and_goes_back_to_where_it_was(event: Event) -> None:
    before = walked(2, *CANARY, Event.ADVANCE)
    held = after(before, event)
    assert held.state in HELD
    assert held.serving
    assert after(held, Event.RESUME) == before
    assert after(held, Event.PROMOTE).state is State.PROMOTED


def test_pausing_what_is_inconclusive_forgets_nothing() -> None:
    paused = walked(2, *CANARY, Event.INCONCLUDE, Event.PAUSE)
    assert after(paused, Event.RESUME).state is State.CANARY


def test_a_candidate_that_serves_nobody_yet_cannot_be_promoted() -> None:
    paused = walked(2, Event.START, Event.PAUSE)
    assert not paused.serving
    for progress in (begun(2), walked(2, Event.START), paused):
        with pytest.raises(NotPossible):
            after(progress, Event.PROMOTE)


def test_what_was_promoted_can_be_taken_back_once() -> None:
    back = walked(0, *CANARY, Event.ROLL_BACK)
    assert back.state is State.ROLLED_BACK
    with pytest.raises(NotPossible):
        after(back, Event.ROLL_BACK)


@given(
    st.integers(0, 4),
    st.booleans(),
    st.booleans(),
    st.lists(st.sampled_from(list(Event)), max_size=30),
)
def test_whatever_happens_a_rollout_stands_somewhere_that_makes_sense(
    steps: int, gated: bool, shadowed: bool, events: list[Event]
) -> None:
    progress = begun(steps, gated=gated, shadowed=shadowed)
    happened: list[Event] = []
    for event in events:
        try:
            moved = after(progress, event)
        except NotPossible:
            continue
        # What is over stays over, but for taking back what was promoted.
        assert progress.state not in ENDED or (progress.state, event) == (
            State.PROMOTED,
            Event.ROLL_BACK,
        )
        assert moved.step >= progress.step
        assert moved.step < max(steps, 1)
        assert (moved.held is not None) == (moved.state in HELD)
        assert not moved.serving or 0 <= moved.step < steps
        if moved.state is State.PROMOTED and steps:
            assert progress.serving
        happened.append(event)
        if moved.serving or moved.state is State.PROMOTED:
            assert not gated or Event.ADOPT in happened
            assert not shadowed or Event.COMPARED in happened
        assert moved.state is not State.GATING or gated
        assert moved.state is not State.SHADOWING or shadowed
        progress = moved


@given(st.booleans(), st.booleans(), st.lists(st.sampled_from(list(Event)), max_size=20))
def test_every_active_rollout_can_be_ended(
    gated: bool, shadowed: bool, events: list[Event]
) -> None:
    progress = begun(3, gated=gated, shadowed=shadowed)
    for event in events:
        try:
            progress = after(progress, event)
        except NotPossible:
            continue
    if progress.state in ACTIVE:
        for event in (Event.ABORT, Event.ROLL_BACK, Event.FAIL, Event.SUPERSEDE):
            ended = after(progress, event)
            assert ended.state in ENDED
            assert not ended.serving
