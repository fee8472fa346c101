"""Assistants over HTTP: an adapter is proven first, then everything changes in one step."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from services.contracts.adapters import MANIFEST_FILE
from services.contracts.assistants import Profile
from services.domain.rendering import prompt_hash
from tests.fakes.adapters import write_adapter
from tests.fakes.agent import eventually
from tests.service.gateway.gateway import GatewayUnderTest, Reply, gateway_under_test

pytestmark = pytest.mark.anyio

HELPER = "/admin/assistants/helper"


async def adapter(gateway: GatewayUnderTest, tmp_path: Path, name: str, **training: str) -> str:
    folder = write_adapter(tmp_path / name, name)
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    (folder / MANIFEST_FILE).write_text(json.dumps({**manifest, "training": training}))
    return str((await gateway.register(folder))["id"])


async def bind(gateway: GatewayUnderTest, **body: Any) -> Reply:
    return await gateway.admin.put(HELPER, json=body)


async def test_an_assistant_without_an_adapter_needs_no_replica(gateway: GatewayUnderTest) -> None:
    made = await bind(gateway, description="도우미", profile={"system": "한국어로 답하세요."})
    assert made.status == 200
    stable = made.body["stable"]
    assert (stable["id"], stable["number"], stable["evidence"]) == ("helper/1", 1, "waived")
    assert stable["profile"]["system"] == "한국어로 답하세요."
    assert (await gateway.admin.get(HELPER)).body == made.body
    assert gateway.resources.snapshot.assistants["default", "helper"].version == 1


async def test_an_adapter_goes_live_when_every_live_replica_has_proven_it(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    version = await adapter(gateway, tmp_path, "formal")
    fast, slow = gateway.replica("fast"), gateway.replica("slow", holding_back=True)
    async with fast.beating(), slow.beating():
        binding = asyncio.create_task(bind(gateway, adapter=version))
        await eventually(lambda: version in slow.adapters and version in fast.adapters)
        assert ("default", "helper") not in gateway.resources.snapshot.assistants
        assert not binding.done()
        slow.holding_back = False
        bound = await binding
        assert (bound.status, bound.body["stable"]["adapter"]) == (200, version)
        await eventually(lambda: [o.pinned for o in slow.orders] == [True])


async def test_a_swap_keeps_the_old_adapter_until_the_new_one_is_proven(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    old = await adapter(gateway, tmp_path, "old")
    replica = gateway.replica(max_cpu_loras=2)
    async with replica.beating():
        assert (await bind(gateway, adapter=old)).status == 200
        replica.holding_back = True
        new = await adapter(gateway, tmp_path, "new")
        binding = asyncio.create_task(bind(gateway, adapter=new))
        await eventually(lambda: new in replica.adapters)
        assert {order.id for order in replica.orders} == {old, new}
        assert (await gateway.admin.get(HELPER)).body["stable"]["adapter"] == old
        replica.holding_back = False
        bound = (await binding).body
    assert (bound["stable"]["adapter"], bound["stable"]["number"]) == (new, 2)
    releases = (await gateway.admin.get(f"{HELPER}/releases")).body["data"]
    assert [(r["id"], r["adapter"]) for r in releases] == [("helper/2", new), ("helper/1", old)]


async def test_an_adapter_that_a_replica_cannot_serve_changes_nothing(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    good, bad = [await adapter(gateway, tmp_path, name) for name in ("good", "bad")]
    replica = gateway.replica(failing={bad: "adapter has no effect"})
    async with replica.beating():
        before = (await bind(gateway, adapter=good)).body
        refused = await bind(gateway, adapter=bad)
        assert (refused.status, refused.code) == (409, "adapter_failed")
        assert "adapter has no effect" in refused.message
        assert (await gateway.admin.get(HELPER)).body == before


async def test_a_replica_that_never_proves_runs_into_the_deadline(tmp_path: Path) -> None:
    async with gateway_under_test(tmp_path, warm_timeout_seconds=0.3) as gateway:
        version = await adapter(gateway, tmp_path, "slow")
        async with gateway.replica("sluggard", holding_back=True).beating():
            refused = await bind(gateway, adapter=version)
        assert (refused.status, refused.code) == (504, "adapter_warming_timeout")
        assert "sluggard" in refused.message
        assert (await gateway.admin.get(HELPER)).status == 404


async def test_a_dead_replica_holds_nobody_up(tmp_path: Path) -> None:
    async with gateway_under_test(tmp_path, replica_timeout_seconds=0.3) as gateway:
        version = await adapter(gateway, tmp_path, "formal")
        await gateway.replica("dying", holding_back=True).beat()
        async with gateway.replica("living").beating():
            assert (await bind(gateway, adapter=version)).status == 200


async def test_without_a_replica_an_adapter_cannot_be_proven(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    version = await adapter(gateway, tmp_path, "formal")
    refused = await bind(gateway, adapter=version)
    assert (refused.status, refused.code) == (503, "no_replica")
    assert "retry-after" in refused.headers


async def test_an_old_version_is_loaded_again_when_it_is_bound(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    versions = [await adapter(gateway, tmp_path, f"v{n}") for n in range(4)]
    replica = gateway.replica(max_cpu_loras=2)
    async with replica.beating():
        await eventually(lambda: len(replica.adapters) == 2)
        absent = next(v for v in versions if v not in replica.adapters)
        assert (await bind(gateway, adapter=absent)).status == 200


async def test_what_does_not_fit_is_refused_with_the_arithmetic(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    one, two = [await adapter(gateway, tmp_path, name) for name in ("one", "two")]
    async with gateway.replica(max_cpu_loras=1).beating():
        assert (await bind(gateway, adapter=one)).status == 200
        refused = await bind(gateway, adapter=two)
        assert (refused.status, refused.code) == (409, "slots_exhausted")
        assert "holds 1" in refused.message
        assert (await bind(gateway, adapter=one, description="same")).status == 200


async def test_another_prompt_than_the_trained_one_is_refused_unless_allowed_and_flagged(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    trained = prompt_hash(Profile(system="Be brief."))
    version = await adapter(gateway, tmp_path, "terse", system_prompt_hash=trained)
    async with gateway.replica().beating():
        matching = await bind(gateway, adapter=version, profile={"system": "Be brief."})
        assert matching.body["stable"]["prompt_mismatch"] is False
        other = {"adapter": version, "profile": {"system": "Be long."}}
        refused = await bind(gateway, **other)
        assert (refused.status, refused.code) == (409, "prompt_mismatch")
        allowed = await bind(gateway, **other, allow_prompt_mismatch=True)
        assert allowed.body["stable"]["prompt_mismatch"] is True
        event = (await gateway.admin.get("/admin/audit?limit=1")).body["data"][0]
        assert event["detail"]["prompt_mismatch"] is True


async def test_another_chat_template_than_the_trained_one_is_a_mismatch_too(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    version = await adapter(gateway, tmp_path, "old", chat_template_hash="000000000000")
    async with gateway.replica(chat_template_hash="111111111111").beating():
        refused = await bind(gateway, adapter=version)
        assert (refused.status, refused.code) == (409, "prompt_mismatch")


async def test_the_same_bundle_again_makes_no_new_release(gateway: GatewayUnderTest) -> None:
    first = (await bind(gateway, profile={"system": "A"})).body
    assert (await bind(gateway, profile={"system": "A"})).body == first
    described = (await bind(gateway, profile={"system": "A"}, description="d")).body
    assert (described["version"], described["stable"]) == (2, first["stable"])
    changed = (await bind(gateway, profile={"system": "B"}, description="d")).body
    assert (changed["version"], changed["stable"]["id"]) == (3, "helper/2")
    back = (await bind(gateway, profile={"system": "A"}, description="d")).body
    assert back["stable"]["id"] == "helper/3"


async def test_a_change_of_something_unseen_is_refused(gateway: GatewayUnderTest) -> None:
    absent = await gateway.admin.put(HELPER, json={}, headers={"If-Match": "*"})
    assert (absent.status, absent.code) == (409, "assistant_changed")
    made = await bind(gateway)
    assert made.headers["etag"] == '"1"'
    etag = {"If-Match": made.headers["etag"]}
    second = await gateway.admin.put(HELPER, json={"description": "2"}, headers=etag)
    assert (second.status, second.headers["etag"]) == (200, '"2"')
    late = await gateway.admin.put(HELPER, json={"description": "3"}, headers=etag)
    assert (late.status, late.code) == (409, "assistant_changed")
    assert (await gateway.admin.delete(HELPER, headers=etag)).status == 409
    malformed = await gateway.admin.put(HELPER, json={}, headers={"If-Match": '"x"'})
    assert malformed.status == 400


async def test_of_many_writers_with_the_same_version_one_wins(gateway: GatewayUnderTest) -> None:
    await bind(gateway)
    replies = await asyncio.gather(
        *(
            gateway.admin.put(HELPER, json={"description": str(n)}, headers={"If-Match": '"1"'})
            for n in range(8)
        )
    )
    assert sorted(reply.status for reply in replies) == [200, *[409] * 7]


async def test_a_deleted_assistant_is_gone_and_its_releases_are_not(
    gateway: GatewayUnderTest,
) -> None:
    await bind(gateway, profile={"system": "A"})
    assert (await gateway.admin.delete(HELPER)).status == 200
    assert (await gateway.admin.get(HELPER)).code == "assistant_not_found"
    assert (await gateway.admin.delete(HELPER)).status == 404
    assert ("default", "helper") not in gateway.resources.snapshot.assistants
    again = (await bind(gateway, profile={"system": "A"})).body
    assert (again["stable"]["id"], again["version"]) == ("helper/2", 3)


async def test_a_served_adapter_cannot_be_retired(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    version = await adapter(gateway, tmp_path, "formal")
    async with gateway.replica().beating():
        await bind(gateway, adapter=version)
        refused = await gateway.admin.delete(f"/admin/adapters/{version}")
        assert (refused.status, refused.code) == (409, "adapter_in_use")
        assert "helper" in refused.message
        await bind(gateway)
        assert (await gateway.admin.delete(f"/admin/adapters/{version}")).status == 200
        retired = await bind(gateway, adapter=version)
        assert (retired.status, retired.code) == (409, "adapter_retired")


async def test_an_unknown_adapter_is_a_404(gateway: GatewayUnderTest) -> None:
    refused = await bind(gateway, adapter="none@000000000000")
    assert (refused.status, refused.code) == (404, "adapter_not_found")


async def test_the_bases_own_name_is_taken(gateway: GatewayUnderTest) -> None:
    await gateway.replica(base_model="helper").beat()
    refused = await bind(gateway)
    assert (refused.status, refused.code) == (409, "assistant_name_taken")


async def test_assistants_are_listed_by_name_in_pages(gateway: GatewayUnderTest) -> None:
    for name in ("b", "a", "c"):
        await gateway.admin.put(f"/admin/assistants/{name}", json={})
    first = (await gateway.admin.get("/admin/assistants?limit=2")).body
    rest = (await gateway.admin.get("/admin/assistants?limit=2&after=b")).body
    assert ([a["id"] for a in first["data"]], first["has_more"]) == (["a", "b"], True)
    assert ([a["id"] for a in rest["data"]], rest["has_more"]) == (["c"], False)


async def test_releases_are_listed_in_pages(gateway: GatewayUnderTest) -> None:
    for text in "ABC":
        await bind(gateway, profile={"system": text})
    first = (await gateway.admin.get(f"{HELPER}/releases?limit=2")).body
    assert [r["number"] for r in first["data"]] == [3, 2]
    rest = (await gateway.admin.get(f"{HELPER}/releases?after=helper/2")).body
    assert ([r["number"] for r in rest["data"]], rest["has_more"]) == ([1], False)
    assert (await gateway.admin.get("/admin/assistants/none/releases")).status == 404


async def test_any_text_can_be_a_system_prompt(gateway: GatewayUnderTest) -> None:
    text = "한글 \u0000 🙂 \u2028 {{ x }} \\u0000 '; DROP TABLE keys; --"
    bound = await bind(gateway, profile={"system": text})
    assert (bound.status, bound.body["stable"]["profile"]["system"]) == (200, text)
    assert (await gateway.admin.get(HELPER)).body["stable"]["profile"]["system"] == text


async def test_a_wrong_bundle_is_a_400(gateway: GatewayUnderTest) -> None:
    wrong: list[dict[str, Any]] = [
        {"odd": 1},
        {"profile": {"sampling": {"temperature": 9}}},
        {"retrieval": {"collections": []}},
        {"retrieval": {"collections": ["Bad Name"]}},
        {"adapter": 5},
        {"description": "nul\u0000"},
    ]
    for body in wrong:
        refused = await bind(gateway, **body)
        assert (refused.status, refused.code) == (400, "invalid_request"), body
    assert (await gateway.admin.put("/admin/assistants/Bad%20Name", json={})).status == 400
