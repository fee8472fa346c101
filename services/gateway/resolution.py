"""From the name that an app calls to what answers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.chassis.errors import NotFound
from services.contracts.adapters import Replica, ReplicaAdapterState
from services.contracts.assistants import Profile, Release, RetrievalPolicy
from services.gateway.clients.engine_errors import no_replica
from services.gateway.registry.snapshot import Caller, Snapshot

PLAIN_PROFILE = Profile()
"""What a base or an adapter version is called with directly: nothing is added to the messages."""


class ModelNotFound(NotFound):
    """No assistant, adapter version or base of this name is visible to the key."""

    code = "model_not_found"

    def __init__(self, model: str) -> None:
        super().__init__(
            f"The model {model!r} does not exist or this key may not use it; GET /v1/models lists "
            "what it may.",
            param="model",
        )


@dataclass(frozen=True, slots=True)
class Target:
    """What answers a request; fixed for the request's whole life."""

    model: str
    """The name that the caller asked for, echoed in the reply."""
    adapter: str | None
    release: Release | None
    """None when a base or an adapter version is called directly."""

    @property
    def profile(self) -> Profile:
        """The release's profile; an empty one for a direct call."""
        return self.release.profile if self.release else PLAIN_PROFILE

    @property
    def policy(self) -> RetrievalPolicy | None:
        """The release's retrieval policy."""
        return self.release.retrieval if self.release else None

    @property
    def assistant(self) -> str | None:
        """The assistant's name, if one was called."""
        return self.release.assistant if self.release else None


def resolve(snapshot: Snapshot, caller: Caller, model: str) -> Target:
    """Find what a model name stands for, for this caller.

    Raises:
        ModelNotFound: when it stands for nothing that the caller may see.
    """
    if assistant := snapshot.assistants.get((caller.tenant, model)):
        return Target(model, assistant.stable.adapter, assistant.stable)
    if (caller.tenant, model) in snapshot.adapters:
        return Target(model, model, None)
    if model in bases(snapshot):
        return Target(model, None, None)
    raise ModelNotFound(model)


def bases(snapshot: Snapshot) -> list[str]:
    """List the names under which the replicas serve their base."""
    return list(dict.fromkeys(replica.base_model for replica in snapshot.replicas))


def able(snapshot: Snapshot, target: Target) -> list[Replica]:
    """List the replicas that can answer for a target now."""
    return [
        replica
        for replica in snapshot.replicas
        if replica.live and replica.ready and _holds(replica, target)
    ]


def context_of(replicas: Sequence[Replica]) -> int:
    """Say how many tokens every one of these replicas can hold.

    Raises:
        Unavailable: when there is none.
    """
    if not replicas:
        raise no_replica("No engine is ready to answer with this model; try again shortly.")
    return min(replica.max_model_len for replica in replicas)


def _holds(replica: Replica, target: Target) -> bool:
    if target.adapter is None:
        return target.release is not None or replica.base_model == target.model
    held = replica.adapters.get(target.adapter)
    return held is not None and held.state is ReplicaAdapterState.PROVEN
