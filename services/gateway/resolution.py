"""From the name that an app calls to what answers it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from services.chassis.errors import InvalidRequest, NotFound
from services.contracts.adapters import Replica, ReplicaAdapterState
from services.contracts.assistants import Profile, Release, RetrievalPolicy
from services.contracts.rollouts import ARM_HEADER
from services.domain.rollouts import split
from services.gateway.clients.engine_errors import no_replica
from services.gateway.registry.snapshot import Caller, Canary, Snapshot

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


class ArmUnknown(InvalidRequest):
    """The request asks for an arm of a rollout that there is not."""

    code = "arm_unknown"


@dataclass(frozen=True, slots=True)
class Target:
    """What answers a request; fixed for the request's whole life."""

    model: str
    """The name that the caller asked for, echoed in the reply."""
    adapter: str | None
    release: Release | None
    """None when a base or an adapter version is called directly."""
    arm: Literal["stable", "candidate", "shadow"] = "stable"
    """Which arm of a rollout answers; `stable` where none is under way."""
    steered: bool = False
    """Whether the caller asked for this arm."""

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


@dataclass(frozen=True, slots=True)
class Wish:
    """What decides between the arms of a rollout."""

    subject: Callable[[], str]
    """Names what stays on one arm."""
    arm: str | None = None
    """The arm that a tester asks for."""


def resolve(snapshot: Snapshot, caller: Caller, model: str, wish: Wish) -> Target:
    """Find what a model name stands for, for this caller.

    Raises:
        ModelNotFound: when it stands for nothing that the caller may see.
        ArmUnknown: when the caller asks for an arm that there is not.
    """
    if assistant := snapshot.assistants.get((caller.tenant, model)):
        stable = Target(model, assistant.stable.adapter, assistant.stable)
        return _arm(snapshot, stable, snapshot.canaries.get((caller.tenant, model)), wish)
    if (caller.tenant, model) in snapshot.adapters:
        return Target(model, model, None)
    if model in bases(snapshot):
        return Target(model, None, None)
    raise ModelNotFound(model)


def _arm(snapshot: Snapshot, stable: Target, canary: Canary | None, wish: Wish) -> Target:
    """Choose between the arms; where no replica holds the candidate, the stable one answers."""
    if wish.arm not in (None, "stable", "candidate"):
        raise ArmUnknown(f"{ARM_HEADER} is `stable` or `candidate`.", param=ARM_HEADER)
    if wish.arm == "stable":
        return replace(stable, steered=True)
    if canary is None:
        if wish.arm is None:
            return stable
        raise ArmUnknown(
            f"{stable.model!r} has no candidate now; leave {ARM_HEADER} out.", param=ARM_HEADER
        )
    steered, release = wish.arm is not None, canary.release
    candidate = Target(stable.model, release.adapter, release, "candidate", steered)
    if steered:
        return candidate
    wanted = split.chosen(canary.rollout, wish.subject(), canary.percent)
    return candidate if wanted and able(snapshot, candidate) else stable


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
