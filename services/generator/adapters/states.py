"""Where one adapter version stands on this replica, and what moves it on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from services.contracts.adapters import ReplicaAdapter, ReplicaAdapterState

State = ReplicaAdapterState


class Event(StrEnum):
    """What can happen to a version."""

    WANTED = "wanted"
    """The gateway's orders name it."""
    DROPPED = "dropped"
    """The orders no longer name it."""
    STARTED = "started"
    """Its load begins."""
    PROVEN = "proven"
    """It was loaded, read back, probed, and has an effect."""
    POSTPONED = "postponed"
    """Its load failed in a way that may pass."""
    REFUSED = "refused"
    """Its load failed for good."""
    VANISHED = "vanished"
    """The engine no longer lists it, or is a new one."""
    UNLOADED = "unloaded"
    """The engine took its name away."""


class IllegalTransition(RuntimeError):
    """An event came in a state where it cannot happen."""


def next_state(state: State, event: Event) -> State | None:
    """Say where an event leads; None means that the version is forgotten.

    Raises:
        IllegalTransition: for an event that cannot happen in the state.
    """
    following: dict[Event, State | None]
    match state:
        case State.PENDING:
            following = {
                Event.WANTED: state,
                Event.VANISHED: state,
                Event.DROPPED: None,
                Event.STARTED: State.LOADING,
            }
        case State.LOADING:
            following = {
                Event.PROVEN: State.PROVEN,
                Event.POSTPONED: State.PENDING,
                Event.REFUSED: State.FAILED,
            }
        case State.PROVEN:
            following = {
                Event.WANTED: state,
                Event.DROPPED: State.UNLOADING,
                Event.VANISHED: State.PENDING,
            }
        case State.FAILED:
            following = {
                Event.WANTED: state,
                Event.DROPPED: None,
                Event.VANISHED: State.PENDING,
            }
        case State.UNLOADING:
            following = {
                Event.WANTED: State.PROVEN,
                Event.DROPPED: state,
                Event.VANISHED: None,
                Event.UNLOADED: None,
            }
        case _:
            assert_never(state)
    if event not in following:
        raise IllegalTransition(f"{event} cannot happen to a version that is {state}")
    return following[event]


@dataclass(frozen=True, slots=True)
class Holding:
    """One version on this replica; times are the monotonic clock's."""

    state: State = State.PENDING
    since: float = 0.0
    """When it came into its state."""
    attempts: int = 0
    """Loads in a row that were postponed."""
    retry_at: float = 0.0
    """No load before this time."""
    reason: str | None = None
    load_seconds: float | None = None
    canary_shift: float | None = None

    def after(self, event: Event, now: float) -> Holding | None:
        """Apply an event; None means that the version is forgotten."""
        state = next_state(self.state, event)
        if state is None:
            return None
        return self if state is self.state else replace(self, state=state, since=now)

    def as_reported(self) -> ReplicaAdapter:
        """Say it as the heartbeat does."""
        return ReplicaAdapter(
            state=self.state,
            reason=self.reason,
            load_seconds=self.load_seconds,
            canary_shift=self.canary_shift,
        )
