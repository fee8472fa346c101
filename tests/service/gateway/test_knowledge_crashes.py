"""Files on their way into a vector store survive the death of every process."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import aiohttp
import pytest
from openai import AsyncOpenAI

from tests.ports import free_port
from tests.service.gateway.gateway import Client
from tests.service.gateway.process import gateway_process
from tests.service.retriever.process import retriever_process
from tests.service.retriever.retriever import API_KEY

pytestmark = pytest.mark.anyio

FILES = 24
DEADLINE_SECONDS = 120


def client_of(gateway: Client) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{gateway.base_url}/v1", api_key=gateway.key or "", max_retries=0)


async def test_no_attached_file_is_lost_or_doubled_when_gateway_and_retriever_are_killed(
    tmp_path: Path,
) -> None:
    port = free_port()
    variables = {
        "INKSTONE_GATEWAY_RETRIEVER_URL": f"http://127.0.0.1:{port}",
        "INKSTONE_GATEWAY_RETRIEVER_API_KEY": API_KEY,
        "INKSTONE_GATEWAY_VECTOR_STORES__LEASE_SECONDS": "1",
        "INKSTONE_GATEWAY_VECTOR_STORES__RETRY_SECONDS": "0.1",
        "INKSTONE_GATEWAY_VECTOR_STORES__ATTEMPTS": "20",
    }
    async with aiohttp.ClientSession() as session:
        async with retriever_process(tmp_path / "retriever", port, session) as (retriever, _):
            async with gateway_process(tmp_path, session, variables) as gateway:
                async with client_of(gateway.client()) as client:
                    store = (await client.vector_stores.create(name="규정")).id
                    ids = [
                        (
                            await client.files.create(
                                file=(f"문서 {n}.txt", f"문서 번호 {n}번입니다. ".encode() * 50),
                                purpose="assistants",
                            )
                        ).id
                        for n in range(FILES)
                    ]
                    batch = await client.vector_stores.file_batches.create(store, file_ids=ids)
                    await some_done(client, store, batch.id)
                    retriever.send_signal(signal.SIGKILL)
                    await gateway.kill()
        async with retriever_process(tmp_path / "retriever", port, session):
            async with gateway_process(tmp_path, session, variables) as gateway:
                admin = gateway.client()
                async with client_of(admin) as client, asyncio.timeout(DEADLINE_SECONDS):
                    done = await client.vector_stores.file_batches.poll(
                        batch.id, vector_store_id=store, poll_interval_ms=100
                    )
                    assert done.file_counts.completed == FILES
                    page = await admin.get(f"/v1/collections/{store}/documents?limit=1000")
                    assert [d["id"] for d in page.body["data"]] == sorted(ids)
                    hits = await client.vector_stores.search(
                        store, query="문서 번호", max_num_results=50
                    )
                    assert {hit.file_id for hit in hits.data} == set(ids)


async def some_done(client: AsyncOpenAI, store: str, batch: str) -> None:
    """Wait until a few files are indexed and others are not."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            counts = (
                await client.vector_stores.file_batches.retrieve(batch, vector_store_id=store)
            ).file_counts
            if counts.completed >= 2:
                assert counts.in_progress > 0
                return
            await asyncio.sleep(0.01)
