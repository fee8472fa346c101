"""Which adapters replicas should hold, and when one more does not fit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.adapters import AdapterManifest, AdapterVersion, Replica
from services.contracts.assistants import Assistant, Profile, Release
from services.gateway.registry.snapshot import Snapshot
from services.gateway.slots import SlotsExhausted, capacity_of, check_room, desired
from tests.fakes.agent import FakeAgent


async def nowhere(_: dict[str, Any]) -> Any:
    raise AssertionError("nothing is posted here")


def version(id_: str) -> AdapterVersion:
    return AdapterVersion(
        id=id_,
        name=id_.split("@", maxsplit=1)[0],
        content_hash=id_.split("@")[1] * 5,
        rank=8,
        target_modules=["q_proj"],
        bytes=1,
        state="registered",
        created_at=1,
        created_by="key",
        manifest=AdapterManifest(name="x", base_model="base"),
    )


def assistant(name: str, adapter: str | None) -> Assistant:
    release = Release(
        id=f"{name}/1",
        assistant=name,
        number=1,
        created_at=1,
        created_by="key",
        profile=Profile(),
        profile_hash="0" * 12,
        retrieval=None,
        adapter=adapter,
        evidence="waived",
        prompt_mismatch=False,
    )
    return Assistant(id=name, description="", stable=release, updated_at=1, version=1)


def replica(*, live: bool = True, **fields: Any) -> Replica:
    report = FakeAgent(nowhere, **fields).report
    return Replica(**dict(report), last_heartbeat_at=1.0, live=live, ready=live, in_flight=0)


def ids(count: int) -> list[str]:
    return [f"a{number}@{number:012x}" for number in range(count)]


def snapshot(
    versions: list[str], served: list[str], *replicas: Replica, tenant: str = "default"
) -> Snapshot:
    return Snapshot(
        adapters={(tenant, id_): version(id_) for id_ in versions},
        assistants={(tenant, f"s{n}"): assistant(f"s{n}", id_) for n, id_ in enumerate(served)},
        replicas=replicas,
    )


def test_what_is_served_comes_first_and_the_rest_in_the_order_of_wanting() -> None:
    versions = ids(6)
    orders = desired(snapshot(versions, [versions[4]]), capacity=3)
    assert [(o.id, o.pinned) for o in orders] == [
        (versions[4], True),
        (versions[0], False),
        (versions[1], False),
    ]


def test_everything_served_is_desired_even_on_a_replica_that_is_too_small() -> None:
    versions = ids(4)
    orders = desired(snapshot(versions, versions[:3]), capacity=1)
    assert [o.id for o in orders] == versions[:3]


def test_two_tenants_share_one_loaded_version() -> None:
    one = version(ids(1)[0])
    both = Snapshot(adapters={("a", one.id): one, ("b", one.id): one})
    assert [o.id for o in desired(both, capacity=4)] == [one.id]


def test_the_smallest_live_replica_decides() -> None:
    replicas = [replica(max_cpu_loras=8), replica(max_cpu_loras=4), replica(live=False)]
    assert capacity_of(replicas) == 4
    assert capacity_of([replica(live=False, max_cpu_loras=1)]) is None


def test_a_version_that_does_not_fit_is_refused_with_the_arithmetic() -> None:
    versions = ids(3)
    full = snapshot(versions, versions[:2], replica(max_cpu_loras=2))
    check_room(full, versions[0])
    with pytest.raises(SlotsExhausted) as caught:
        check_room(full, versions[2])
    assert "2 adapter versions are in service and 1 more would make 3" in str(caught.value)
    assert "holds 2" in str(caught.value)
    check_room(snapshot(versions, versions[:2], replica(max_cpu_loras=3)), versions[2])


@given(count=st.integers(0, 12), served=st.lists(st.integers(0, 11)), capacity=st.integers(1, 12))
def test_orders_hold_all_that_is_pinned_and_never_more_than_fits(
    count: int, served: list[int], capacity: int
) -> None:
    versions = ids(count)
    in_service = [versions[n] for n in served if n < count]
    orders = desired(snapshot(versions, in_service), capacity)
    assert len({o.id for o in orders}) == len(orders)
    assert {o.id for o in orders if o.pinned} == set(in_service)
    assert len(orders) == min(count, max(capacity, len(set(in_service))))
