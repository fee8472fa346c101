"""Requests with an `Idempotency-Key`: the second is answered like the first and does nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.fakes.adapters import write_adapter
from tests.fakes.archives import files_of, tar_gz
from tests.service.gateway.gateway import Client, GatewayUnderTest, Reply, upload

pytestmark = pytest.mark.anyio

ONCE = {"Idempotency-Key": "한 번만".encode().hex()}


async def issue(client: Client, name: str = "k") -> Reply:
    return await client.post("/admin/keys", json={"name": name, "scopes": ["app"]}, headers=ONCE)


async def count(gateway: GatewayUnderTest) -> int:
    return len((await gateway.admin.get("/admin/keys")).body["data"])


async def test_a_key_is_issued_once_and_the_reply_comes_again_secret_included(
    gateway: GatewayUnderTest,
) -> None:
    before = await count(gateway)
    first, second = await issue(gateway.admin), await issue(gateway.admin)
    assert (first.status, second.status) == (201, 201)
    assert first.body == second.body
    assert await count(gateway) == before + 1
    assert (await gateway.client(second.body["secret"]).get("/v1/collections")).status == 200


async def test_of_many_at_once_one_acts(gateway: GatewayUnderTest) -> None:
    before = await count(gateway)
    replies = await asyncio.gather(*(issue(gateway.admin) for _ in range(8)))
    assert {reply.status for reply in replies} == {201}
    assert len({reply.body["secret"] for reply in replies}) == 1
    assert await count(gateway) == before + 1


async def test_another_request_with_the_same_key_is_refused(gateway: GatewayUnderTest) -> None:
    first = await issue(gateway.admin)
    other = await issue(gateway.admin, name="other")
    assert (other.status, other.code) == (409, "idempotency_key_reused")
    path = f"/admin/keys/{first.body['id']}/rotate"
    rotated = await gateway.admin.post(path, json={}, headers=ONCE)
    assert rotated.code == "idempotency_key_reused"


async def test_another_operator_does_not_get_the_secret(gateway: GatewayUnderTest) -> None:
    colleague = await gateway.admin.post(
        "/admin/keys", json={"name": "colleague", "scopes": ["operator"]}
    )
    await issue(gateway.admin)
    refused = await issue(gateway.client(colleague.body["secret"]))
    assert (refused.status, refused.code) == (409, "idempotency_key_reused")


async def test_a_rotation_happens_once(gateway: GatewayUnderTest) -> None:
    made = await gateway.admin.post("/admin/keys", json={"name": "k", "scopes": ["app"]})
    path = f"/admin/keys/{made.body['id']}/rotate"
    body = {"overlap_seconds": 0}
    first = await gateway.admin.post(path, json=body, headers=ONCE)
    second = await gateway.admin.post(path, json=body, headers=ONCE)
    assert first.body == second.body
    assert (await gateway.client(first.body["secret"]).get("/v1/collections")).status == 200


async def test_an_adapter_upload_that_is_repeated_has_the_same_reply(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    archive = tar_gz(files_of(write_adapter(tmp_path / "a", "formal")))
    first = await upload(gateway.admin, archive, headers=ONCE)
    second = await upload(gateway.admin, archive, headers=ONCE)
    assert (first.status, second.status) == (201, 201)
    assert first.body == second.body
    other = tar_gz(files_of(write_adapter(tmp_path / "b", "terse")))
    refused = await upload(gateway.admin, other, headers=ONCE)
    assert (refused.status, refused.code) == (409, "idempotency_key_reused")
    assert len((await gateway.admin.get("/admin/adapters")).body["data"]) == 1


async def test_a_failed_request_may_be_tried_again_with_the_same_key(
    gateway: GatewayUnderTest,
) -> None:
    wrong = {"name": "k", "scopes": ["app"], "expires_at": 1}
    refused = await gateway.admin.post("/admin/keys", json=wrong, headers=ONCE)
    assert refused.status == 400
    assert (await issue(gateway.admin)).status == 201


async def test_a_malformed_key_is_a_400(gateway: GatewayUnderTest) -> None:
    body = {"name": "k", "scopes": ["app"]}
    for key in ("", "x" * 256):
        headers = {"Idempotency-Key": key}
        refused = await gateway.admin.post("/admin/keys", json=body, headers=headers)
        assert (refused.status, refused.body["error"]["param"]) == (400, "Idempotency-Key")
