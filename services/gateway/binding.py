"""Binding an assistant: replicas prove the adapter, then the assistant changes in one step."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from services.chassis.errors import Conflict, InvalidRequest, Unavailable, UpstreamTimeout
from services.contracts.adapters import AdapterManifest, ReplicaAdapterState
from services.contracts.assistants import Assistant, AssistantWrite, Profile
from services.domain.output_schema import SchemaError, check_schema
from services.domain.rendering import prompt_hash
from services.gateway import slots
from services.gateway.registry import adapters, assistants
from services.gateway.registry.changes import Actor, Change, Registry
from services.gateway.registry.snapshot import Snapshot
from services.gateway.registry.versions import Expected


class PromptMismatch(Conflict):
    """The adapter was trained with another prompt than the release would give it."""

    code = "prompt_mismatch"


class AdapterRetired(Conflict):
    """The adapter version is out of use."""

    code = "adapter_retired"


class AdapterFailed(Conflict):
    """A replica cannot serve the adapter version."""

    code = "adapter_failed"


class NoReplica(Unavailable):
    """There is no engine that could prove the adapter."""

    code = "no_replica"


class WarmingTimeout(UpstreamTimeout):
    """The replicas did not prove the adapter version in time."""

    code = "adapter_warming_timeout"


class BaseMismatch(Conflict):
    """The adapter was trained on another base than the engines serve."""

    code = "base_mismatch"


class InvalidProfile(InvalidRequest):
    """The profile cannot be served as it is."""

    code = "invalid_profile"


class AssistantNameTaken(Conflict):
    """The name is the base's, which apps call directly."""

    code = "assistant_name_taken"


@dataclass(frozen=True, slots=True)
class Binding:
    """The way of a bundle into service."""

    registry: Registry
    warm_timeout_seconds: float

    async def bind(
        self, actor: Actor, name: str, write: AssistantWrite, *, expected: Expected = None
    ) -> Assistant:
        """Let an assistant serve a bundle, once every live replica has proven its adapter.

        Whatever goes wrong, the assistant serves what it served before.

        Raises:
            ServiceError: the first reason why it cannot be.
        """
        if write.adapter is not None:
            async with self.registry.change(actor) as change:
                current = await assistants.lookup(change.connection, actor.tenant, name)
                assistants.check_version(name, current, expected)
                await self.check(change, name, write)
                await adapters.want(change, write.adapter, seconds=self.warm_timeout_seconds)
            await self._warm(write.adapter)
        async with self.registry.change(actor) as change:
            mismatch = await self.check(change, name, write)
            return await assistants.bind(
                change, name, write, expected=expected, prompt_mismatch=mismatch
            )

    async def check(self, change: Change, name: str, write: AssistantWrite) -> bool:
        """Check a bundle, and tell whether its prompt is another than the adapter's."""
        # While this change is open nobody else changes anything: what is read now stays true.
        await self.registry.catch_up()
        snapshot = self.registry.keeper.current
        if any(replica.base_model == name for replica in snapshot.replicas):
            raise AssistantNameTaken(f"{name!r} is the base's own name; choose another one.")
        _check_profile(write.profile)
        if write.adapter is None:
            return False
        version = await adapters.find(change.connection, change.actor.tenant, write.adapter)
        if version.state == "retired":
            raise AdapterRetired(f"{write.adapter!r} is retired; register it again first.")
        _check_base(version.manifest, snapshot)
        slots.check_room(snapshot, write.adapter)
        mismatch = _prompt_difference(version.manifest, write.profile, snapshot)
        if mismatch is not None and not write.allow_prompt_mismatch:
            raise PromptMismatch(mismatch)
        return mismatch is not None

    async def _warm(self, adapter: str) -> None:
        keeper = self.registry.keeper
        if not any(replica.live for replica in keeper.current.replicas):
            raise NoReplica(
                "No generator replica is live, so that the adapter cannot be proven; start one and "
                "try again.",
                retry_after_seconds=5,
            )
        snapshot = keeper.current
        try:
            async with asyncio.timeout(self.warm_timeout_seconds):
                while unproven(snapshot, adapter):
                    snapshot = await keeper.after(snapshot)
        except TimeoutError as error:
            waiting = ", ".join(sorted(unproven(keeper.current, adapter)))
            raise WarmingTimeout(
                f"{adapter!r} was not proven in {self.warm_timeout_seconds:g} s by {waiting}; look "
                "at the replicas and try again."
            ) from error


def unproven(snapshot: Snapshot, adapter: str) -> list[str]:
    """Name the live replicas that have yet to prove a version; without any, say so.

    Raises:
        AdapterFailed: when one says that it cannot.
    """
    live = [replica for replica in snapshot.replicas if replica.live]
    waiting = [] if live else ["any replica: none is live"]
    for replica in live:
        said = replica.adapters.get(adapter)
        if said and said.state is ReplicaAdapterState.PROVEN:
            continue
        if said and said.state is ReplicaAdapterState.FAILED:
            reason = (said.reason or "it gave no reason").rstrip(".")
            raise AdapterFailed(
                f"The replica {replica.replica!r} cannot serve {adapter!r}: {reason}."
            )
        waiting.append(replica.replica)
    return waiting


def _check_profile(profile: Profile) -> None:
    if profile.output_schema is None:
        return
    try:
        check_schema(profile.output_schema)
    except SchemaError as error:
        raise InvalidProfile(
            f"The profile's output_schema cannot be enforced: {error}; mend it and send it again.",
            param="profile.output_schema",
        ) from error
    if profile.reasoning == "cot":
        raise InvalidProfile(
            "The profile's output_schema leaves no room for reasoning in steps; set reasoning to "
            "direct, or put a field for the steps into the schema.",
            param="profile.reasoning",
        )


def _check_base(manifest: AdapterManifest, snapshot: Snapshot) -> None:
    trained_on = manifest.training.base_fingerprint
    for replica in snapshot.replicas:
        if replica.live and trained_on not in (None, replica.base_fingerprint):
            raise BaseMismatch(
                f"The adapter was trained on the base {manifest.base_model} ({trained_on}) and "
                f"{replica.replica!r} serves {replica.base_model} ({replica.base_fingerprint}); "
                "train it on that base."
            )


def _prompt_difference(
    manifest: AdapterManifest, profile: Profile, snapshot: Snapshot
) -> str | None:
    """Say how a release's prompt differs from the adapter's; None when it does not."""
    trained, rest = manifest.training, "or set allow_prompt_mismatch to serve it so all the same."
    served = prompt_hash(profile)
    if trained.system_prompt_hash is not None and trained.system_prompt_hash != served:
        return (
            f"The adapter was trained with another prompt ({trained.system_prompt_hash}) than this "
            f"profile ({served}); use its system text, reasoning and examples, {rest}"
        )
    templates = {replica.chat_template_hash for replica in snapshot.replicas if replica.live}
    if trained.chat_template_hash is not None and templates - {trained.chat_template_hash}:
        return (
            "The adapter was trained with another chat template than the engines use; train it "
            f"again, {rest}"
        )
    return None
