"""What the hot path needs of the registry: immutable, in memory, replaced whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.contracts.adapters import AdapterVersion, Replica
from services.contracts.assistants import Assistant, Release
from services.contracts.keys import Scope
from services.contracts.rollouts import Shadow


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, as the key says."""

    key_id: str
    tenant: str
    scopes: frozenset[Scope]
    groups: tuple[str, ...]
    expires_at: int | None
    for_end_user: bool = False
    """Whether the request names an end user's groups, so that it reaches no further than they."""

    def may(self, scope: Scope) -> bool:
        """Tell whether the key carries a scope."""
        return scope in self.scopes


@dataclass(frozen=True, slots=True)
class Canary:
    """A candidate that answers some of an assistant's callers."""

    rollout: str
    """The rollout's id."""
    release: Release
    percent: float
    """Of the callers."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """A candidate that answers copies of an assistant's requests, which nobody sees."""

    rollout: str
    """The rollout's id."""
    release: Release
    shadow: Shadow


@dataclass(frozen=True, slots=True)
class Underway:
    """A rollout that is not over."""

    assistant: str
    state: str
    weight: float
    """Percent of the callers that the candidate answers."""
    entered_at: float
    """When it came to its state and step, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The registry at one revision."""

    revision: int = 0
    callers: Mapping[str, Caller] = field(default_factory=dict)
    """By the sha256 of the whole key; revoked keys are absent, expired ones carry their date."""
    assistants: Mapping[tuple[str, str], Assistant] = field(default_factory=dict)
    """By tenant and name."""
    canaries: Mapping[tuple[str, str], Canary] = field(default_factory=dict)
    """By tenant and assistant's name."""
    unseen: Mapping[tuple[str, str], Unseen] = field(default_factory=dict)
    """By tenant and assistant's name."""
    rollouts: tuple[Underway, ...] = ()
    """Of all tenants."""
    adapters: Mapping[tuple[str, str], AdapterVersion] = field(default_factory=dict)
    """By tenant and version id; retired ones are absent."""
    replicas: tuple[Replica, ...] = ()
    """Every replica that has reported; `live` and `ready` were true at `taken_at`."""
    taken_at: float = 0.0

    @property
    def pinned(self) -> frozenset[str]:
        """The versions that an arm serves: a replica without one of them is not ready."""
        releases = [assistant.stable for assistant in self.assistants.values()]
        releases += [canary.release for canary in self.canaries.values()]
        return frozenset(each.adapter for each in releases if each.adapter is not None)
