"""Ingestion jobs through the gateway, with the real retriever behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.service.gateway.gateway import Client, GatewayUnderTest, gateway_under_test
from tests.service.retriever.ingesting import form_of, manifest
from tests.service.retriever.retriever import retriever_on

pytestmark = pytest.mark.anyio

DEADLINE_SECONDS = 60
INGESTIONS = "/v1/collections/handbook/ingestions"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[GatewayUnderTest]:
    """A gateway before a real retriever."""
    async with retriever_on(tmp_path / "retriever") as retriever:
        url = retriever.client.url
        async with gateway_under_test(tmp_path, retriever_url=url) as under_test:
            yield under_test


async def ended(client: Client, id_: str) -> Any:
    """Wait until a job has ended."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            job = (await client.get(f"/v1/ingestions/{id_}")).body
            if job["status"] not in ("queued", "running"):
                return job
            await asyncio.sleep(0.02)


async def test_files_come_through_as_a_job(gateway: GatewayUnderTest) -> None:
    form = form_of([("환불.txt", "환불은 14일 안에 됩니다.".encode()), ("bad.pdf", b"%PDF-1.7")])
    started = await gateway.admin.post(INGESTIONS, data=form)
    assert started.status == 202, started.body
    job = await ended(gateway.application, started.body["id"])
    assert (job["status"], job["progress"]["created"]) == ("failed", 1)
    path = f"/v1/ingestions/{job['id']}/items?state=failed"
    failed = (await gateway.application.get(path)).body["data"]
    assert [item["document_id"] for item in failed] == ["bad.pdf"]
    listed = (await gateway.application.get("/v1/ingestions?collection=handbook")).body["data"]
    assert [one["id"] for one in listed] == [job["id"]]


async def test_a_sync_comes_through_with_its_bytes(gateway: GatewayUnderTest) -> None:
    body = manifest({"a.txt": b"apple"}, remove_at_most=0)
    assert (await gateway.admin.post(f"{INGESTIONS}/plan", json=body)).body["changed"] == 1
    started = await gateway.admin.post(INGESTIONS, json=body)
    assert started.body["needed"] == ["a.txt"]
    path = f"/v1/ingestions/{started.body['id']}"
    sent = await gateway.admin.post(f"{path}/files", data=form_of([("a.txt", b"apple")]))
    assert sent.status == 200, sent.body
    assert (await ended(gateway.application, started.body["id"]))["progress"]["created"] == 1
    assert (await gateway.admin.post(f"{path}/cancel")).code == "ingestion_finished"


async def test_a_job_of_another_tenant_does_not_exist(gateway: GatewayUnderTest) -> None:
    started = await gateway.admin.post(INGESTIONS, data=form_of([("a.txt", b"apple")]))
    path = f"/v1/ingestions/{started.body['id']}"
    assert (await gateway.neighbour.get(path)).code == "ingestion_not_found"
    assert (await gateway.neighbour.post(f"{path}/cancel")).code == "ingestion_not_found"
    assert (await gateway.neighbour.get("/v1/ingestions")).body["data"] == []


async def test_readers_may_look_and_not_touch(gateway: GatewayUnderTest) -> None:
    started = await gateway.admin.post(INGESTIONS, data=form_of([("a.txt", b"apple")]))
    path = f"/v1/ingestions/{started.body['id']}"
    for where in (INGESTIONS, f"{INGESTIONS}/plan", f"{path}/files", f"{path}/cancel"):
        refused = await gateway.application.post(where, json={})
        assert (refused.status, refused.code) == (403, "missing_scope")
    assert (await gateway.application.post("/admin/index/rebuild")).code == "missing_scope"
    assert (await gateway.application.get(path)).status == 200


async def test_an_operator_has_the_index_made_anew(gateway: GatewayUnderTest) -> None:
    await gateway.admin.put("/v1/collections/handbook/documents/a", json={"text": "apple"})
    assert (await gateway.admin.post("/admin/index/rebuild")).status == 202
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (await gateway.admin.get("/admin/index")).body["status"] != "idle":
            await asyncio.sleep(0.02)
    found = await gateway.application.post(
        "/v1/collections/handbook/search", json={"query": "apple"}
    )
    assert len(found.body["data"]) == 1


async def test_what_is_neither_form_nor_manifest_is_refused(gateway: GatewayUnderTest) -> None:
    kind = {"Content-Type": "text/plain"}
    refused = await gateway.admin.post(INGESTIONS, data=b"x", headers=kind)
    assert (refused.status, refused.code) == (400, "not_multipart")
    malformed = await gateway.admin.post(INGESTIONS, json={"files": []})
    assert (malformed.status, malformed.code) == (400, "invalid_request")
    options = form_of([("a.txt", b"apple")], options=json.dumps({"odd": 1}))
    assert (await gateway.admin.post(INGESTIONS, data=options)).status == 400
