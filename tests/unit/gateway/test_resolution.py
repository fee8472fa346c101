"""From a model's name to what answers it, within the caller's tenant."""

from __future__ import annotations

from functools import partial

import pytest

from services.chassis.errors import Unavailable
from services.contracts.adapters import (
    AdapterManifest,
    AdapterVersion,
    ReplicaAdapter,
    ReplicaAdapterState,
)
from services.gateway.listing import describe_model, list_models
from services.gateway.registry.snapshot import Canary, Snapshot
from services.gateway.resolution import (
    ArmUnknown,
    ModelNotFound,
    Target,
    Wish,
    able,
    context_of,
    resolve,
)
from tests.unit.gateway.registry_parts import assistant, caller, release, replica

FORMAL = "formal@0123456789ab"
ANYBODY = Wish(lambda: "anybody")


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
    target = resolve(SNAPSHOT, caller(), "support", ANYBODY)
    assert (target.model, target.adapter, target.assistant) == ("support", FORMAL, "support")


def test_an_adapter_version_stands_for_itself() -> None:
    assert resolve(SNAPSHOT, caller(), FORMAL, ANYBODY) == Target(FORMAL, FORMAL, None)


def test_the_base_stands_for_itself() -> None:
    assert resolve(SNAPSHOT, caller(), "base", ANYBODY) == Target("base", None, None)


@pytest.mark.parametrize("name", ["support", FORMAL])
def test_another_tenants_names_do_not_exist(name: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        resolve(SNAPSHOT, caller("neighbour"), name, ANYBODY)
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")
    assert caught.value.param == "model"


@pytest.mark.parametrize("name", ["nobody", "formal", "formal@ffffffffffff", "../outside"])
def test_an_unknown_name_does_not_exist(name: str) -> None:
    with pytest.raises(ModelNotFound):
        resolve(SNAPSHOT, caller(), name, ANYBODY)


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
    assert resolve(snapshot, caller(), "base", ANYBODY).assistant == "base"


FRIENDLY = "friendly@0123456789ab"


def under_way(percent: float, *, proven: bool = True) -> Snapshot:
    candidate = release(id="support/2", number=2, adapter=FRIENDLY)
    return Snapshot(
        assistants=SNAPSHOT.assistants,
        canaries={("default", "support"): Canary("ro_1", candidate, percent)},
        replicas=(replica(proven=[FORMAL, FRIENDLY] if proven else [FORMAL]),),
    )


def arms(snapshot: Snapshot, callers: int) -> list[str]:
    wishes = [Wish(partial(str.format, "chat {}", number)) for number in range(callers)]
    return [resolve(snapshot, caller(), "support", wish).arm for wish in wishes]


def test_a_candidate_answers_its_share_and_keeps_whom_it_has_as_the_share_grows() -> None:
    small, large = arms(under_way(10), 2000), arms(under_way(50), 2000)
    # Three standard deviations of 2000 independent callers.
    assert small.count("candidate") == pytest.approx(200, abs=40)
    assert large.count("candidate") == pytest.approx(1000, abs=67)
    kept = zip(small, large, strict=True)
    assert all(late == "candidate" for early, late in kept if early == "candidate")


def test_where_no_replica_holds_the_candidate_the_stable_release_answers() -> None:
    assert set(arms(under_way(100, proven=False), 20)) == {"stable"}


def test_a_tester_gets_the_arm_that_is_asked_for() -> None:
    for arm in ("stable", "candidate"):
        target = resolve(under_way(50), caller(), "support", Wish(lambda: "x", arm))
        assert (target.arm, target.steered) == (arm, True)
    with pytest.raises(ArmUnknown, match="no candidate now"):
        resolve(SNAPSHOT, caller(), "support", Wish(lambda: "x", "candidate"))
    with pytest.raises(ArmUnknown, match="`stable` or `candidate`"):
        resolve(SNAPSHOT, caller(), "support", Wish(lambda: "x", "best"))
