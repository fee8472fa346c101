"""Another embedding model: collections come over one by one, and nothing is ever mixed."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.fakes.hashing_embedder import HashingEmbedder, another_model
from tests.ports import free_port
from tests.service.retriever.ingesting import ended, ingest, reached
from tests.service.retriever.process import retriever_process
from tests.service.retriever.retriever import Client, retriever_on
from tests.service.retriever.test_crashes import in_step

pytestmark = pytest.mark.anyio

DEADLINE_SECONDS = 60


async def state(client: Client) -> Any:
    """How far the change is."""
    return (await client.call("GET", "/index/embedding")).body


async def changed(client: Client) -> None:
    """Wait until every collection is the new model's."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (await state(client))["status"] != "idle":
            await asyncio.sleep(0.02)


async def fingerprints(client: Client) -> set[str]:
    """Which models built the tenant's collections."""
    listed = (await client.call("GET", "/collections")).body["data"]
    return {collection["embedding_fingerprint"] for collection in listed}


async def fill(folder: Path, documents: int) -> None:
    """Store documents with the former model."""
    async with retriever_on(folder) as former:
        for n in range(documents):
            await former.client.put(f"d{n}", f"apple number {n}")
        await former.client.put("p", "pear", collection="pears")


async def test_the_former_model_answers_until_the_new_one_has_everything(tmp_path: Path) -> None:
    await fill(tmp_path, 10)
    new, old = another_model(), HashingEmbedder()
    new.passages_may_go.clear()
    async with retriever_on(tmp_path, new, old) as retriever:
        client = retriever.client
        assert len((await client.search("apple", mode="dense", top_k=50)).passages) == 10
        assert (old.asked, new.asked) == (["apple"], [])
        assert (await state(client))["collections"] == 2
        assert (await client.call("POST", "/index/rebuild")).code == "index_building"
        assert (await client.put("d1", "apple anew")).body["outcome"] == "replaced"
        assert (await client.call("DELETE", "/collections/docs/documents/d2")).status == 200
        assert (await client.put("d10", "apple number ten")).body["outcome"] == "created"
        job = await ingest(client, [("f.txt", b"apple in a file")])
        assert (await ended(client, job.body["id"]))["status"] == "succeeded"
        assert await fingerprints(client) == {old.fingerprint}
        new.passages_may_go.set()
        await changed(client)
        assert await fingerprints(client) == {new.fingerprint}
        old.asked.clear()
        found = (await client.search("apple", mode="dense", top_k=50)).passages
        assert (old.asked, new.asked[-1]) == ([], "apple")
        assert len(found) == 11
        assert {"apple anew", "apple number ten", "apple in a file"} <= set(found)
        assert (await client.put("d11", "apple eleven")).body["outcome"] == "created"
        assert (await client.put("d3", "apple number 3")).body["outcome"] == "unchanged"
        await in_step(retriever)
    async with retriever_on(tmp_path, another_model()) as later:
        await changed(later.client)
        assert len((await later.client.search("apple", mode="dense", top_k=50)).passages) == 12
        kept = {path.name[:12] for path in (tmp_path / "index").iterdir()}
        assert kept == {new.fingerprint}


async def test_no_request_fails_while_collections_come_over(tmp_path: Path) -> None:
    await fill(tmp_path, 30)
    new = another_model(delay_seconds=0.01)
    async with retriever_on(tmp_path, new, HashingEmbedder()) as retriever:
        client = retriever.client
        statuses: list[int] = []
        number = 0
        while (await state(client))["status"] == "changing":
            found = await client.search("apple pear", "docs", "pears", top_k=5)
            written = await client.put(f"new{number}", f"apple new {number}")
            statuses += [found.status, written.status]
            assert len(found.passages) == 5
            number += 1
        assert statuses
        assert set(statuses) == {200}
        await in_step(retriever)
        everything = await client.search("apple", mode="lexical", top_k=100)
        assert len(everything.passages) == 30 + number


async def test_a_search_over_both_models_takes_from_both(tmp_path: Path) -> None:
    await fill(tmp_path, 3)
    new = another_model()
    new.poison = "apple"
    async with retriever_on(tmp_path, new, HashingEmbedder()) as retriever:
        client = retriever.client
        await client.put("b", "banana", collection="bananas")
        found = await client.search("apple banana", "docs", "bananas", top_k=3)
        assert {passage["collection"] for passage in found.body["data"]} == {"docs", "bananas"}
        scores = [passage["score"] for passage in found.body["data"]]
        assert scores == sorted(scores, reverse=True)


async def test_without_the_former_model_a_collection_says_how_far_it_is(tmp_path: Path) -> None:
    await fill(tmp_path, 3)
    new = another_model()
    new.passages_may_go.clear()
    async with retriever_on(tmp_path, new) as retriever:
        client = retriever.client
        for reply in (await client.search("apple"), await client.put("d", "apple")):
            assert (reply.status, reply.code) == (503, "reembedding")
            assert "0 of 4 documents" in reply.body["error"]["message"]
        job = (await ingest(client, [("f.txt", b"apple in a file")])).body["id"]
        await reached(client, job, "queued", "running")
        new.passages_may_go.set()
        await changed(client)
        assert (await ended(client, job))["status"] == "succeeded"
        assert len((await client.search("apple", mode="dense")).passages) == 4


async def test_a_change_that_a_kill_cut_short_goes_on_where_it_stood(tmp_path: Path) -> None:
    await fill(tmp_path, 40)
    async with aiohttp.ClientSession() as session:
        async with retriever_process(tmp_path, free_port(), session, "change") as (
            process,
            client,
        ):
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not 8 <= (done := (await state(client))["documents"]) < 41:
                    await asyncio.sleep(0.01)
            os.kill(process.pid, signal.SIGKILL)
    new = another_model()
    async with retriever_on(tmp_path, new, HashingEmbedder()) as retriever:
        await changed(retriever.client)
        assert 0 < len(new.embedded) <= 41 - done
        await in_step(retriever)
        found = await retriever.client.search("apple", mode="dense", top_k=100)
        assert len(found.passages) == len(set(found.passages)) == 40


async def test_a_write_of_a_model_that_is_gone_is_finished_by_the_new_one(tmp_path: Path) -> None:
    await fill(tmp_path, 2)
    held = HashingEmbedder()
    held.passages_may_go.clear()
    async with retriever_on(tmp_path, held) as former:
        client = former.client
        writing = asyncio.create_task(client.put("late", "apple late"))
        while not await former.resources.catalogue.writes.unfinished():
            await asyncio.sleep(0.01)
        writing.cancel()
    async with retriever_on(tmp_path, another_model()) as retriever:
        await changed(retriever.client)
        assert not await retriever.resources.catalogue.writes.unfinished()
        assert len((await retriever.client.search("apple", mode="dense")).passages) in (2, 3)
