"""The audit log: every change says who, when, what and why."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.fakes.adapters import write_adapter
from tests.service.gateway.gateway import GatewayUnderTest, segment

pytestmark = pytest.mark.anyio


async def test_every_kind_of_change_leaves_an_event(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    admin = gateway.admin
    key = (await admin.post("/admin/keys", json={"name": "k", "scopes": ["app"]})).body["id"]
    await admin.post(f"/admin/keys/{key}/rotate", json={})
    await admin.delete(f"/admin/keys/{key}")
    version = (await gateway.register(write_adapter(tmp_path / "a", "formal")))["id"]
    await admin.delete(f"/admin/adapters/{version}")
    await gateway.register(tmp_path / "a")
    await admin.put("/admin/assistants/helper", json={})
    await admin.delete("/admin/assistants/helper")
    events = (await admin.get("/admin/audit?limit=8")).body["data"]
    assert [(event["action"], event["subject"]) for event in events] == [
        ("assistant.deleted", "helper"),
        ("assistant.bound", "helper"),
        ("adapter.restored", version),
        ("adapter.retired", version),
        ("adapter.registered", version),
        ("key.revoked", key),
        ("key.rotated", key),
        ("key.issued", key),
    ]
    own = gateway.secrets["admin"].split("_")[1]
    assert {event["actor"] for event in events} == {own}
    assert all(abs(event["at"] - time.time()) < 600 for event in events)


async def test_a_reason_in_any_script_is_kept_with_the_request_id(
    gateway: GatewayUnderTest,
) -> None:
    headers = {"X-Inkstone-Reason": segment("고객 요청 #12"), "X-Request-Id": "why-1"}
    await gateway.admin.put("/admin/assistants/helper", json={}, headers=headers)
    event = (await gateway.admin.get("/admin/audit?limit=1")).body["data"][0]
    assert (event["reason"], event["request_id"]) == ("고객 요청 #12", "why-1")
    assert event["detail"]["release"] == "helper/1"
    assert event["detail"]["evidence"] == "waived"


async def test_a_malformed_reason_is_a_400_and_nothing_changes(gateway: GatewayUnderTest) -> None:
    for reason in ("x" * 501, "%00", "a%0Ab"):
        headers = {"X-Inkstone-Reason": reason}
        refused = await gateway.admin.put("/admin/assistants/helper", json={}, headers=headers)
        assert refused.status == 400, reason
    assert (await gateway.admin.get("/admin/assistants/helper")).status == 404


async def test_what_changes_nothing_leaves_no_event(gateway: GatewayUnderTest) -> None:
    await gateway.admin.put("/admin/assistants/helper", json={})
    before = (await gateway.admin.get("/admin/audit")).body
    await gateway.admin.put("/admin/assistants/helper", json={})
    await gateway.admin.delete("/admin/adapters/none@000000000000")
    await gateway.admin.post("/admin/keys", json={"name": "k", "scopes": []})
    assert (await gateway.admin.get("/admin/audit")).body == before


async def test_the_log_is_read_in_pages_newest_first(gateway: GatewayUnderTest) -> None:
    for number in range(5):
        await gateway.admin.put(f"/admin/assistants/a{number}", json={})
    seen: list[str] = []
    path = "/admin/audit?limit=2"
    while True:
        page = (await gateway.admin.get(path)).body
        seen += [event["id"] for event in page["data"]]
        if not page["has_more"]:
            break
        path = f"/admin/audit?limit=2&after={seen[-1]}"
    assert seen == sorted(seen, key=int, reverse=True)
    assert len(seen) == len(set(seen)) >= 9
    for after in ("x", "-1", "9" * 40):
        assert (await gateway.admin.get(f"/admin/audit?after={after}")).status == 400
