"""Making an index anew that several retrievers share."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests import postgres
from tests.ports import free_port
from tests.service.retriever.ingesting import synced
from tests.service.retriever.process import retriever_process
from tests.service.retriever.retriever import Client, RetrieverUnderTest, Stores, retriever_on
from tests.service.retriever.test_crashes import finished, word

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not postgres.AVAILABLE, reason="there is no Postgres here"),
]

DEADLINE_SECONDS = 60
DOCUMENTS = 12
PARAGRAPHS = "\n\n".join(f"Paragraph {n} of a long text about pears and plums." for n in range(8))
SHORT_CHUNKS: dict[str, Any] = {"chunk_tokens": 16, "chunk_overlap_tokens": 0}


def text(name: str) -> str:
    """A document that is one chunk of the usual length, and many short ones."""
    return f"{word(name)} apple\n\n{PARAGRAPHS}"


@contextlib.asynccontextmanager
async def two_with_short_chunks(
    shared: Stores, tmp_path: Path
) -> AsyncIterator[tuple[RetrieverUnderTest, RetrieverUnderTest]]:
    """Two retrievers that cut shorter than the one that wrote the documents."""
    async with retriever_on(tmp_path / "former", **shared.settings) as former:
        for n in range(DOCUMENTS):
            await former.client.put(f"d{n}", text(f"d{n}"))
        assert set((await finished(former)).values()) == {1}
    settings = shared.settings | SHORT_CHUNKS
    async with (
        retriever_on(tmp_path / "one", **settings) as one,
        retriever_on(tmp_path / "two", **settings) as two,
    ):
        yield one, two


async def done(client: Client) -> Any:
    """Wait until the index is made anew."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (state := (await client.call("GET", "/index")).body)["status"] == "building":
            await asyncio.sleep(0.02)
    return state


async def test_every_document_is_cut_anew_while_all_search_and_write(
    shared: Stores, tmp_path: Path
) -> None:
    async with two_with_short_chunks(shared, tmp_path) as (one, two):
        for each in (one, two):
            each.embedder.passages_may_go.clear()
        asked = await two.client.call("POST", "/index/rebuild")
        assert (asked.status, asked.body["status"], asked.body["of"]) == (202, "building", 12)
        again = await one.client.call("POST", "/index/rebuild")
        assert (again.status, again.code) == (409, "index_building")
        assert (await one.client.call("DELETE", "/collections/docs/documents/d0")).status == 200
        written = asyncio.create_task(two.client.put("d1", f"{word('other')} plum"))
        for each in (one, two):
            each.embedder.passages_may_go.set()
        while (state := (await one.client.call("GET", "/index")).body)["status"] == "building":
            assert 0 <= state["documents"] <= state["of"]
            found = await two.client.search(word("d5"), mode="lexical", top_k=50)
            assert len(found.passages) == 1
        assert (await written).status == 200
        assert [(await done(each.client))["status"] for each in (one, two)] == ["idle", "idle"]
        chunks = await finished(one)
        assert len(chunks) == DOCUMENTS - 1
        assert sorted(chunks.values())[1] > 1
        assert (await two.client.search(word("other"), mode="lexical")).passages
        assert not (await two.client.search(word("d1"), mode="lexical")).passages
        assert not (await two.client.search(word("d0"), mode="lexical")).passages


async def test_a_document_that_was_cut_anew_is_as_old_and_of_the_same_source(
    shared: Stores, tmp_path: Path
) -> None:
    files = {"a.txt": text("a").encode(), "b.txt": text("b").encode()}
    async with retriever_on(tmp_path / "one", **shared.settings) as one:
        await synced(one.client, files)
        before = (await one.client.call("GET", "/collections/docs/documents")).body["data"]
        await one.client.call("POST", "/index/rebuild")
        assert (await done(one.client))["documents"] == len(files)
        after = (await one.client.call("GET", "/collections/docs/documents")).body["data"]
        assert after == before
        job = await synced(one.client, {"a.txt": files["a.txt"]}, remove_at_most=1)
        assert (job["progress"]["unchanged"], job["progress"]["deleted"]) == (1, 1)


async def test_another_retriever_goes_on_where_a_killed_one_stood(
    shared: Stores, tmp_path: Path
) -> None:
    async with aiohttp.ClientSession() as session:
        way = shared.arguments
        async with retriever_process(tmp_path / "dies", free_port(), session, *way) as running:
            process, client = running
            for n in range(DOCUMENTS):
                await client.put(f"d{n}", text(f"d{n}"))
            await client.call("POST", "/index/rebuild")
            os.kill(process.pid, signal.SIGKILL)
    async with retriever_on(tmp_path / "stays", **shared.settings) as retriever:
        state = await done(retriever.client)
        assert (state["status"], state["documents"]) == ("idle", DOCUMENTS)
        assert set((await finished(retriever)).values()) == {1}
        for n in range(DOCUMENTS):
            found = await retriever.client.search(word(f"d{n}"), mode="lexical", top_k=50)
            assert len(found.passages) == 1


async def test_a_document_that_cannot_be_cut_anew_stays_as_it_was(
    shared: Stores, tmp_path: Path
) -> None:
    async with two_with_short_chunks(shared, tmp_path) as (one, two):
        for each in (one, two):
            each.embedder.poison = word("d3")
        await one.client.call("POST", "/index/rebuild")
        state = await done(two.client)
        assert (state["status"], state["documents"]) == ("failed", DOCUMENTS - 1)
        assert "1 documents stay as they were" in state["message"]
        assert [*(await finished(one)).values()].count(1) == 1
        assert len((await two.client.search(word("d3"), mode="lexical", top_k=50)).passages) == 1
        for each in (one, two):
            each.embedder.poison = None
        await one.client.call("POST", "/index/rebuild")
        assert (await done(two.client))["status"] == "idle"
        assert min((await finished(one)).values()) > 1
