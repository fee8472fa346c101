"""Two tenants side by side: what one has, the other does not find, list, use or change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.adapters import write_adapter
from tests.service.gateway.gateway import GatewayUnderTest

pytestmark = pytest.mark.anyio


async def test_another_tenants_keys_do_not_exist(gateway: GatewayUnderTest) -> None:
    issued = (await gateway.admin.post("/admin/keys", json={"name": "k", "scopes": ["app"]})).body
    path = f"/admin/keys/{issued['id']}"
    for method, url in (("GET", path), ("DELETE", path), ("POST", f"{path}/rotate")):
        refused = await gateway.neighbour.call(method, url, json={} if method == "POST" else None)
        assert (refused.status, refused.code) == (404, "key_not_found"), method
    listed = (await gateway.neighbour.get("/admin/keys")).body["data"]
    assert {key["tenant"] for key in listed} == {"neighbour"}
    page = await gateway.neighbour.get(f"/admin/keys?after={issued['id']}")
    assert page.status == 400
    assert (await gateway.client(issued["secret"]).get("/v1/collections")).status == 200


async def test_another_tenants_adapters_do_not_exist(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    version = (await gateway.register(write_adapter(tmp_path / "a", "formal")))["id"]
    path = f"/admin/adapters/{version}"
    for method in ("GET", "DELETE"):
        refused = await gateway.neighbour.call(method, path)
        assert (refused.status, refused.code) == (404, "adapter_not_found")
    assert (await gateway.neighbour.get("/admin/adapters")).body["data"] == []
    async with gateway.replica().beating():
        body = {"adapter": version}
        refused = await gateway.neighbour.put("/admin/assistants/thief", json=body)
        assert (refused.status, refused.code) == (404, "adapter_not_found")
    assert (await gateway.admin.get(path)).body["state"] == "registered"


async def test_the_same_adapter_of_two_tenants_is_retired_by_each_alone(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    folder = write_adapter(tmp_path / "a", "formal")
    ours = await gateway.register(folder)
    theirs = await gateway.register(folder, client=gateway.neighbour, description="theirs")
    assert ours["id"] == theirs["id"]
    assert (ours["manifest"]["description"], theirs["manifest"]["description"]) == ("", "theirs")
    replica = gateway.replica()
    assert len(await replica.beat()) == 1
    assert (await gateway.admin.delete(f"/admin/adapters/{ours['id']}")).status == 200
    assert len(await replica.beat()) == 1
    assert (await gateway.neighbour.delete(f"/admin/adapters/{ours['id']}")).status == 200
    assert await replica.beat() == []


async def test_assistants_of_the_same_name_are_apart(gateway: GatewayUnderTest) -> None:
    path = "/admin/assistants/helper"
    await gateway.admin.put(path, json={"profile": {"system": "ours"}})
    for method in ("GET", "DELETE"):
        assert (await gateway.neighbour.call(method, path)).code == "assistant_not_found"
    assert (await gateway.neighbour.get(f"{path}/releases")).code == "assistant_not_found"
    assert (await gateway.neighbour.get("/admin/assistants")).body["data"] == []
    theirs = await gateway.neighbour.put(path, json={"profile": {"system": "theirs"}})
    assert (theirs.body["version"], theirs.body["stable"]["number"]) == (1, 1)
    assert (await gateway.neighbour.delete(path)).status == 200
    ours = (await gateway.admin.get(path)).body
    assert (ours["stable"]["profile"]["system"], ours["version"]) == ("ours", 1)


async def test_documents_are_apart(gateway: GatewayUnderTest) -> None:
    path = "/v1/collections/handbook/documents/secret"
    await gateway.admin.put(path, json={"text": "ours"})
    for method in ("GET", "DELETE"):
        assert (await gateway.neighbour.call(method, path)).status == 404
    assert (await gateway.neighbour.get("/v1/collections")).body["data"] == []
    assert (await gateway.neighbour.delete("/v1/collections/handbook")).status == 404
    assert (await gateway.admin.get(path)).body["text"] == "ours"


async def test_the_audit_log_shows_a_tenants_own_events(gateway: GatewayUnderTest) -> None:
    await gateway.admin.put("/admin/assistants/helper", json={})
    events = (await gateway.neighbour.get("/admin/audit")).body["data"]
    assert {event["action"] for event in events} == {"key.issued"}
    assert {event["actor"] for event in events} == {"bootstrap"}
    foreign = (await gateway.admin.get("/admin/audit?limit=1")).body["data"][0]["id"]
    assert (await gateway.neighbour.get(f"/admin/audit?after={foreign}")).status == 400


async def test_replicas_show_a_tenants_own_adapters_only(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    version = (await gateway.register(write_adapter(tmp_path / "a", "formal")))["id"]
    replica = gateway.replica()
    await replica.beat()
    await replica.beat()
    ours = (await gateway.admin.get("/admin/replicas")).body["data"][0]
    theirs = (await gateway.neighbour.get("/admin/replicas")).body["data"][0]
    assert list(ours["adapters"]) == [version]
    assert theirs["adapters"] == {}


async def test_idempotency_keys_are_apart(gateway: GatewayUnderTest) -> None:
    headers = {"Idempotency-Key": "same"}

    async def issue(client: Any) -> Any:
        body = {"name": "k", "scopes": ["app"]}
        return await client.post("/admin/keys", json=body, headers=headers)

    ours, theirs = await issue(gateway.admin), await issue(gateway.neighbour)
    assert (ours.status, theirs.status) == (201, 201)
    assert ours.body["id"] != theirs.body["id"]
    assert (ours.body["tenant"], theirs.body["tenant"]) == ("default", "neighbour")


async def test_no_service_key_reaches_a_tenants_data(gateway: GatewayUnderTest) -> None:
    for path in ("/admin/keys", "/admin/assistants", "/v1/collections", "/admin/audit"):
        assert (await gateway.agent.get(path)).status == 403
