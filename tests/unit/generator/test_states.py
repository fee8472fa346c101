"""The life of an adapter version on a replica: every state against every event."""

import pytest

from services.contracts.adapters import ReplicaAdapterState as State
from services.generator.adapters.states import Event, Holding, IllegalTransition, next_state

FORGOTTEN = None

LEGAL = {
    (State.PENDING, Event.WANTED): State.PENDING,
    (State.PENDING, Event.DROPPED): FORGOTTEN,
    (State.PENDING, Event.STARTED): State.LOADING,
    (State.PENDING, Event.VANISHED): State.PENDING,
    (State.LOADING, Event.PROVEN): State.PROVEN,
    (State.LOADING, Event.POSTPONED): State.PENDING,
    (State.LOADING, Event.REFUSED): State.FAILED,
    (State.PROVEN, Event.WANTED): State.PROVEN,
    (State.PROVEN, Event.DROPPED): State.UNLOADING,
    (State.PROVEN, Event.VANISHED): State.PENDING,
    (State.FAILED, Event.WANTED): State.FAILED,
    (State.FAILED, Event.DROPPED): FORGOTTEN,
    (State.FAILED, Event.VANISHED): State.PENDING,
    (State.UNLOADING, Event.WANTED): State.PROVEN,
    (State.UNLOADING, Event.DROPPED): State.UNLOADING,
    (State.UNLOADING, Event.VANISHED): FORGOTTEN,
    (State.UNLOADING, Event.UNLOADED): FORGOTTEN,
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_each_state_follows_the_table(state: State, event: Event) -> None:
    if (state, event) in LEGAL:
        assert next_state(state, event) is LEGAL[state, event]
    else:
        with pytest.raises(IllegalTransition, match=event):
            next_state(state, event)


def test_nothing_is_proven_without_a_load() -> None:
    into_proven = {state for (state, event), after in LEGAL.items() if after is State.PROVEN}
    assert into_proven == {State.LOADING, State.PROVEN, State.UNLOADING}
    # From unloading it comes back only because it was never taken away.
    assert (State.UNLOADING, Event.PROVEN) not in LEGAL


def test_the_clock_of_a_state_starts_when_it_is_entered() -> None:
    proven = Holding(State.PROVEN, since=10.0)
    dropped = proven.after(Event.DROPPED, 20.0)
    assert dropped is not None
    assert dropped.since == 20.0
    still = dropped.after(Event.DROPPED, 30.0)
    assert still is not None
    assert still.since == 20.0


def test_a_holding_reports_its_reason_and_its_figures() -> None:
    failed = Holding(State.FAILED, reason="no effect", load_seconds=1.5, canary_shift=0.001)
    reported = failed.as_reported()
    assert (reported.state, reported.reason) == (State.FAILED, "no effect")
    assert (reported.load_seconds, reported.canary_shift) == (1.5, 0.001)
