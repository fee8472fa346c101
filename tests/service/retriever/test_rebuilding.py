"""Making the index anew while the old one serves."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.ports import free_port
from tests.service.retriever.process import retriever_process
from tests.service.retriever.retriever import Client, RetrieverUnderTest, retriever_on
from tests.service.retriever.test_crashes import in_step

pytestmark = pytest.mark.anyio

DEADLINE_SECONDS = 60


async def rebuilt(client: Client) -> None:
    """Wait until a new index serves."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (state := (await client.call("GET", "/index")).body)["status"] == "building":
            await asyncio.sleep(0.02)
    assert state["status"] == "idle", state


def makings(folder: Path) -> list[str]:
    """The makings of the index on disk."""
    return sorted(path.name for path in (folder / "index").iterdir() if path.is_dir())


async def test_every_passage_comes_back_when_the_index_was_deleted(tmp_path: Path) -> None:
    async with retriever_on(tmp_path) as retriever:
        client = retriever.client
        for n in range(20):
            await client.put(f"d{n}", f"apple number {n}", allowed_groups=["staff"] * (n % 2))
        before = (await client.in_groups("staff").search("apple", top_k=50)).body["data"]
        shutil.rmtree(tmp_path / "index" / makings(tmp_path)[0])
        started = await client.call("POST", "/index/rebuild")
        assert (started.status, started.body["status"]) == (202, "building")
        await rebuilt(client)
        after = (await client.in_groups("staff").search("apple", top_k=50)).body["data"]
        assert after == before
        assert len((await client.search("apple", top_k=50)).passages) == 10
        assert makings(tmp_path) == [f"{retriever.embedder.fingerprint}-v2-g1"]
    async with retriever_on(tmp_path) as again:
        assert (await again.client.in_groups("staff").search("apple", top_k=50)).body[
            "data"
        ] == before


async def test_the_old_index_serves_meanwhile_and_no_change_is_missed(tmp_path: Path) -> None:
    async with retriever_on(tmp_path) as retriever:
        client, embedder = retriever.client, retriever.embedder
        for n in range(10):
            await client.put(f"d{n}", f"apple number {n}")
        embedder.passages_may_go.clear()
        begun_before = asyncio.create_task(client.put("early", "apple early"))
        while not await retriever.resources.catalogue.writes.unfinished():
            await asyncio.sleep(0.01)
        await client.call("POST", "/index/rebuild")
        again = await client.call("POST", "/index/rebuild")
        assert (again.status, again.code) == (409, "index_building")
        assert len((await client.search("apple", top_k=50)).passages) == 10
        await client.call("DELETE", "/collections/docs/documents/d0")
        written = asyncio.create_task(client.put("d1", "apple anew"))
        embedder.passages_may_go.set()
        statuses = []
        while (await client.call("GET", "/index")).body["status"] == "building":
            statuses.append((await client.search("apple", top_k=50)).status)
        assert set(statuses) == {200}
        assert {(await begun_before).status, (await written).status} == {200}
        await rebuilt(client)
        await in_step(retriever)
        found = (await client.search("apple", top_k=50)).passages
        assert len(found) == 10
        assert {"apple early", "apple anew"} <= set(found)
        assert "apple number 0" not in found


async def test_a_rebuild_that_a_kill_cut_short_goes_on(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        async with retriever_process(tmp_path, free_port(), session) as (process, client):
            for n in range(10):
                await client.put(f"d{n}", f"apple number {n}")
            await client.call("POST", "/index/rebuild")
            os.kill(process.pid, signal.SIGKILL)
    async with retriever_on(tmp_path) as retriever:
        await rebuilt(retriever.client)
        await in_step(retriever)
        assert len((await retriever.client.search("apple", top_k=50)).passages) == 10
        assert len(makings(tmp_path)) == 1


async def test_a_rebuild_that_fails_leaves_the_old_index_serving(tmp_path: Path) -> None:
    async with retriever_on(tmp_path) as retriever:
        client, embedder = retriever.client, retriever.embedder
        await client.put("d", "apple")
        embedder.failure = RuntimeError("a bug in the model")
        await client.call("POST", "/index/rebuild")
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (state := (await client.call("GET", "/index")).body)["status"] == "building":
                await asyncio.sleep(0.02)
        assert state["status"] == "failed"
        assert (await client.search("apple")).passages == ["apple"]
        assert makings(tmp_path) == [f"{embedder.fingerprint}-v2-g0"]
        embedder.failure = None
        await client.call("POST", "/index/rebuild")
        await rebuilt(client)
        assert (await client.search("apple")).passages == ["apple"]


async def test_strangers_may_not_rebuild(shared_retriever: RetrieverUnderTest) -> None:
    stranger = Client(shared_retriever.client.session, shared_retriever.client.url, api_key="x")
    assert (await stranger.call("POST", "/index/rebuild")).status == 401
