"""From a model's name to what answers it, within the caller's tenant."""

from __future__ import annotations

import pytest

from services.chassis.errors import Unavailable
from services.contracts.adapters import (
    AdapterManifest,
    AdapterVersion,
    ReplicaAdapter,
    ReplicaAdapterState,
)
from services.gateway.listing import describe_model, list_models
from services.gateway.registry.snapshot import Snapshot
from services.gateway.resolution import ModelNotFound, Target, able, context_of, resolve
from tests.unit.gateway.registry_parts import assistant, caller, release, replica

FORMAL = "formal@0123456789ab"


def version(id_: str) -> AdapterVersion:
    name = id_.split("@", maxsplit=1)[0]
    return AdapterVersion(
        id=id_,
        name=name,
        content_hash="0" * 64,
        rank=8,
        target_modules=["q_proj"],
        bytes=1,
        state="registered",
        created_at=5,
        created_by="key",
        manifest=AdapterManifest(name=name, base_model="base"),
    )


SNAPSHOT = Snapshot(
    assistants={("default", "support"): assistant(release(adapter=FORMAL))},
    adapters={("default", FORMAL): version(FORMAL)},
    replicas=(replica(proven=[FORMAL]),),
)


def test_an_assistant_stands_for_its_stable_release() -> None:
    target = resolve(SNAPSHOT, caller(), "support")
    assert (target.model, target.adapter, target.assistant) == ("support", FORMAL, "support")


def test_an_adapter_version_stands_for_itself() -> None:
    assert resolve(SNAPSHOT, caller(), FORMAL) == Target(FORMAL, FORMAL, None)


def test_the_base_stands_for_itself() -> None:
    assert resolve(SNAPSHOT, caller(), "base") == Target("base", None, None)


@pytest.mark.parametrize("name", ["support", FORMAL])
def test_another_tenants_names_do_not_exist(name: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        resolve(SNAPSHOT, caller("neighbour"), name)
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")
    assert caught.value.param == "model"


@pytest.mark.parametrize("name", ["nobody", "formal", "formal@ffffffffffff", "../outside"])
def test_an_unknown_name_does_not_exist(name: str) -> None:
    with pytest.raises(ModelNotFound):
        resolve(SNAPSHOT, caller(), name)


def test_only_proven_ready_and_live_replicas_answer() -> None:
    loading = ReplicaAdapter(state=ReplicaAdapterState.LOADING)
    replicas = (
        replica("proven", proven=[FORMAL]),
        replica("silent", proven=[FORMAL], live=False),
        replica("starting", proven=[FORMAL], ready=False),
        replica("loading", adapters={FORMAL: loading}),
        replica("bare"),
    )
    snapshot = Snapshot(replicas=replicas)
    names = [r.replica for r in able(snapshot, Target(FORMAL, FORMAL, None))]
    assert names == ["proven"]
    assert len(able(snapshot, Target("base", None, None))) == 3
    assert len(able(snapshot, Target("support", None, release()))) == 3


def test_a_direct_call_of_a_base_goes_to_replicas_of_that_base() -> None:
    snapshot = Snapshot(replicas=(replica("one"), replica("two", base_model="other")))
    assert [r.replica for r in able(snapshot, Target("other", None, None))] == ["two"]


def test_the_shortest_context_counts() -> None:
    assert context_of([replica(max_model_len=4096), replica(max_model_len=1024)]) == 1024


def test_no_replica_is_unavailable() -> None:
    with pytest.raises(Unavailable) as caught:
        context_of([])
    assert (caught.value.code, caught.value.retry_after_seconds) == ("no_replica", 2)


def test_a_key_sees_its_tenants_models_and_the_base() -> None:
    assert [m.id for m in list_models(SNAPSHOT, caller())] == ["support", FORMAL, "base"]
    assert [m.id for m in list_models(SNAPSHOT, caller("neighbour"))] == ["base"]


def test_a_model_is_described_as_it_is_resolved() -> None:
    described = describe_model(SNAPSHOT, caller(), "support")
    assert (described.kind, described.release, described.adapter) == (
        "assistant",
        "support/1",
        FORMAL,
    )
    with pytest.raises(ModelNotFound):
        describe_model(SNAPSHOT, caller("neighbour"), "support")


def test_an_assistant_hides_a_base_of_the_same_name() -> None:
    snapshot = Snapshot(
        assistants={("default", "base"): assistant(release(assistant="base"))},
        replicas=(replica(),),
    )
    assert [(m.id, m.kind) for m in list_models(snapshot, caller())] == [("base", "assistant")]
    assert resolve(snapshot, caller(), "base").assistant == "base"
