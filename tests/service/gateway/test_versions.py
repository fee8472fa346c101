"""What somebody else changed in between is not changed by who has not seen it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from services.gateway.registry import adapters
from services.gateway.registry.changes import Actor
from tests.fakes.adapters import write_adapter
from tests.service.gateway.gateway import Client, GatewayUnderTest, Reply, segment

pytestmark = pytest.mark.anyio

SET = "/admin/evaluation-sets/golden"
JOBS = "/admin/training-jobs"
CASE = '{"id": "1", "question": "%s", "expected": "14일"}'


def seen(version: int) -> dict[str, str]:
    return {"If-Match": f'"{version}"'}


def refused(reply: Reply, code: str) -> None:
    assert (reply.status, reply.code) == (409, code), reply
    assert "read it again" in reply.message


async def etag(client: Client, path: str) -> str:
    return (await client.get(path)).headers["etag"]


async def test_a_key_that_was_rotated_meanwhile_is_not_revoked(gateway: GatewayUnderTest) -> None:
    admin = gateway.admin
    issued = (await admin.post("/admin/keys", json={"name": "앱", "scopes": ["app"]})).body
    path = f"/admin/keys/{issued['id']}"
    assert await etag(admin, path) == '"1"'
    rotated = await admin.post(f"{path}/rotate", json={}, headers=seen(1))
    assert (rotated.status, rotated.body["version"]) == (201, 2)
    refused(await admin.delete(path, headers=seen(1)), "key_changed")
    refused(await admin.post(f"{path}/rotate", json={}, headers=seen(1)), "key_changed")
    assert (await gateway.client(rotated.body["secret"]).get("/v1/collections")).status == 200
    await gateway.resources.key_usage.write()
    used = (await admin.get(path)).body
    assert used["last_used_at"] is not None
    # That it was used is no change that anybody could overwrite.
    assert used["version"] == 2
    assert (await admin.delete(path, headers=seen(2))).status == 200
    assert await etag(admin, path) == '"3"'


async def test_an_adapter_that_was_restored_meanwhile_is_not_retired(
    gateway: GatewayUnderTest, tmp_path: Path
) -> None:
    folder = write_adapter(tmp_path / "formal", "formal")
    id_ = (await gateway.register(folder))["id"]
    path = f"/admin/adapters/{segment(id_)}"
    async with gateway.resources.registry.change(Actor("default", "tester")) as change:
        await adapters.want(change, id_, seconds=60)
    assert await etag(gateway.admin, path) == '"1"'
    assert (await gateway.admin.delete(path, headers=seen(1))).status == 200
    restored = await gateway.register(folder)
    assert (restored["state"], restored["version"]) == ("registered", 3)
    refused(await gateway.admin.delete(path, headers=seen(1)), "adapter_changed")
    assert (await gateway.admin.delete(path, headers=seen(3))).status == 200


async def test_a_job_that_a_worker_took_meanwhile_is_not_cancelled(
    gateway: GatewayUnderTest,
) -> None:
    form = aiohttp.FormData()
    form.add_field("file", b'{"prompt": "q", "completion": "a"}\n', filename="rows.jsonl")
    form.add_field("spec", '{"adapter": "formal", "profile": null}')
    job = (await gateway.admin.post(JOBS, data=form)).body
    path, tuner = f"{JOBS}/{job['id']}", gateway.client(gateway.secrets["tuner"])
    assert await etag(gateway.admin, path) == '"1"'
    assert (await tuner.post("/internal/jobs/claim", json={"worker": "w1"})).status == 200
    refused(await gateway.admin.post(f"{path}/cancel", headers=seen(1)), "job_changed")
    progress = {"step": 1, "of": 9}
    renewal = {"worker": "w1", "progress": progress}
    assert (await tuner.post(f"/internal/jobs/{job['id']}/renew", json=renewal)).body["held"]
    told = (await gateway.admin.get(path)).body
    # How far it is is no change that anybody could overwrite.
    assert (told["version"], told["progress"]["step"]) == (2, 1)
    asked = await gateway.admin.post(f"{path}/cancel", headers=seen(2))
    assert (asked.status, asked.body["cancel_requested"], asked.body["version"]) == (200, True, 3)


async def test_cases_that_somebody_else_put_meanwhile_are_not_replaced(
    gateway: GatewayUnderTest,
) -> None:
    admin = gateway.admin
    assert (await admin.put(SET, data=CASE % "환불?", headers=seen(1))).status == 409
    first = await admin.put(SET, data=CASE % "환불?")
    assert (first.status, first.headers["etag"]) == (200, '"1"'), first
    again = await admin.put(SET, data=CASE % "환불?", headers=seen(1))
    assert again.body["version"] == 1
    second = await admin.put(SET, data=CASE % "교환?", headers=seen(1))
    assert second.headers["etag"] == await etag(admin, SET) == '"2"'
    refused(await admin.put(SET, data=CASE % "반품?", headers=seen(1)), "evaluation_set_changed")
    refused(await admin.delete(SET, headers=seen(1)), "evaluation_set_changed")
    assert (await admin.get(SET)).body == second.body
    assert (await admin.delete(SET, headers=seen(2))).status == 200


async def test_of_many_who_saw_the_same_version_one_changes_it(gateway: GatewayUnderTest) -> None:
    await gateway.admin.put(SET, data=CASE % "환불?")
    puts = [
        gateway.admin.put(SET, data=CASE % f"질문 {number}", headers=seen(1)) for number in range(6)
    ]
    statuses = [reply.status for reply in await asyncio.gather(*puts)]
    assert sorted(statuses) == [200, 409, 409, 409, 409, 409]
    assert await etag(gateway.admin, SET) == '"2"'


async def test_a_version_that_is_none_is_refused_with_the_mend(gateway: GatewayUnderTest) -> None:
    for client, path in (
        (gateway.admin, "/admin/keys/key_1/rotate"),
        (gateway.application, "/admin/keys/key_1/rotate"),
    ):
        reply = await client.post(path, json={}, headers={"If-Match": "latest"})
        assert reply.status == (403 if client == gateway.application else 400), reply
