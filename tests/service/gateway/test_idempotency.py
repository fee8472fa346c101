"""Requests with an `Idempotency-Key`: the second is answered like the first and does nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import aiohttp
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from sqlalchemy import func, select

from services.contracts.assistants import Profile
from services.contracts.jobs import TrainingSpec
from services.gateway.dependencies import AttemptDep
from services.gateway.registry import tables
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


def within(dependant: Dependant) -> Iterator[Any]:
    """Yield what a route asks for, directly or by something that it asks for."""
    for each in dependant.dependencies:
        yield each.call
        yield from within(each)


ASKING = {"/admin/assistants/{name}/prompt"}
"""Posts that change nothing; asked twice they answer twice."""


async def test_every_post_of_an_operator_takes_an_idempotency_key(
    gateway: GatewayUnderTest,
) -> None:
    attempt = get_args(AttemptDep)[1].dependency
    posts = [
        route
        for route in gateway.app.routes
        if isinstance(route, APIRoute)
        and "POST" in route.methods
        and route.path.startswith("/admin")
    ]
    assert len(posts) >= 8
    without = {route.path for route in posts if attempt not in within(route.dependant)}
    assert without == ASKING


def rows(text: str = '{"prompt": [], "completion": []}') -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("file", text.encode(), filename="rows.jsonl")
    form.add_field("spec", TrainingSpec(adapter="voice", profile=Profile()).model_dump_json())
    return form


async def test_a_training_is_queued_once_and_cancelled_once(gateway: GatewayUnderTest) -> None:
    path, admin = "/admin/training-jobs", gateway.admin
    first = await admin.post(path, data=rows(), headers=ONCE)
    again = await admin.post(path, data=rows(), headers=ONCE)
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    other = await admin.post(path, data=rows("{}"), headers=ONCE)
    assert (other.status, other.code) == (409, "idempotency_key_reused")
    assert len((await admin.get(path)).body["data"]) == 1
    kept = (gateway.settings.data_dir / "artifacts" / "jobs").rglob("*.jsonl")
    assert [file.parts[-3] for file in kept] == [first.body["id"]]
    cancel, once = f"{path}/{first.body['id']}/cancel", {"Idempotency-Key": "cancel"}
    assert (await admin.post(cancel, headers=once)).body["status"] == "cancelled"
    assert (await admin.post(cancel, headers=once)).body["status"] == "cancelled"
    assert (await admin.post(cancel)).code == "job_ended"


async def test_a_rollout_is_moved_once(gateway: GatewayUnderTest) -> None:
    path = "/admin/assistants/helper"
    assert (await gateway.admin.put(path, json={})).status == 200
    body = {"bundle": {"profile": {"system": "x"}}, "steps": [{"weight": 50}]}
    begun = await gateway.admin.post(f"{path}/rollouts", json=body)
    abort = f"{path}/rollouts/{begun.body['id']}/abort"
    first = await gateway.admin.post(abort, headers=ONCE)
    again = await gateway.admin.post(abort, headers=ONCE)
    assert (first.status, again.status, again.body) == (200, 200, first.body)
    events = tables.events
    async with gateway.resources.registry.database.read() as connection:
        aborted = select(func.count()).where(events.c.action == "rollout.abort")
        assert await connection.scalar(aborted) == 1
    assert (await gateway.admin.post(abort)).code == "rollout_state"


async def test_a_new_index_is_asked_for_once(gateway: GatewayUnderTest) -> None:
    path = "/admin/index/rebuild"
    first = await gateway.admin.post(path, headers=ONCE)
    again = await gateway.admin.post(path, headers=ONCE)
    assert (first.status, again.status, again.body) == (202, 202, first.body)
    assert gateway.retriever.builds == 1
    assert (await gateway.admin.post(path)).body["of"] == 2
