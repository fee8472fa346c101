"""What the retriever refuses to take, and how it says so."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.retriever.settings import Limits
from tests.service.retriever.retriever import retriever_on

pytestmark = pytest.mark.anyio


async def test_one_write_too_many_is_told_to_come_back(tmp_path: Path) -> None:
    limits = Limits(concurrent_writes=1, max_waiting_writes=2)
    async with retriever_on(tmp_path, limits=limits) as retriever:
        client = retriever.client
        retriever.embedder.passages_may_go.clear()
        writes = [asyncio.create_task(client.put(f"d{n}", "apple")) for n in range(3)]
        while await client.metric("inkstone_writes_waiting") < 2:
            await asyncio.sleep(0.01)
        async with client.session.put(
            f"{client.url}/collections/docs/documents/late",
            json={"text": "apple"},
            headers=client.headers,
        ) as reply:
            assert reply.status == 429
            assert (await reply.json())["error"]["code"] == "ingestion_full"
            assert int(reply.headers["Retry-After"]) >= 1
        retriever.embedder.passages_may_go.set()
        assert [reply.status for reply in await asyncio.gather(*writes)] == [200] * 3
        assert (await client.put("late", "apple")).status == 200


async def test_writes_of_one_document_follow_one_another(tmp_path: Path) -> None:
    async with retriever_on(tmp_path) as retriever:
        client = retriever.client
        writes = [client.put("d", f"apple number {n}") for n in range(10)]
        replies = await asyncio.gather(*writes)
        assert [reply.status for reply in replies] == [200] * 10
        outcomes = [reply.body["outcome"] for reply in replies]
        assert sorted(outcomes) == ["created"] + ["replaced"] * 9
        assert len((await client.search("apple")).passages) == 1


async def test_a_document_that_is_too_long_is_refused_whole(tmp_path: Path) -> None:
    limits = Limits(max_document_bytes=1024, max_document_chunks=3)
    async with retriever_on(tmp_path, limits=limits, chunk_tokens=16) as retriever:
        client = retriever.client
        long = await client.put("d", "가" * 342)
        assert (long.status, long.code) == (413, "document_too_large")
        many = await client.put("d", "apple " * 100)
        assert (many.status, many.code) == (413, "document_too_large")
        body = await client.put("d", "a" * 100_000)
        assert (body.status, body.code) == (413, "payload_too_large")
        assert (await client.call("GET", "/collections")).body["data"] == []
        assert (await client.put("d", "가" * 341)).status == 200


async def test_a_file_that_is_too_large_fails_alone(tmp_path: Path) -> None:
    async with retriever_on(tmp_path, limits=Limits(max_file_bytes=1024)) as retriever:
        reply = await retriever.client.upload([("a.txt", b"apple " * 200), ("b.txt", b"apple")])
        assert [file["code"] for file in reply.body["files"]] == ["file_too_large", None]


async def test_an_upload_that_is_too_large_is_refused_whole(tmp_path: Path) -> None:
    async with retriever_on(tmp_path, limits=Limits(max_upload_bytes=4096)) as retriever:
        reply = await retriever.client.upload([("a.txt", b"apple " * 2000)])
        assert (reply.status, reply.code) == (413, "payload_too_large")
