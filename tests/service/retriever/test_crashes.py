"""What is left when something is killed, lost or broken."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from services.chassis.errors import Unavailable
from services.contracts.knowledge import DocumentWrite
from services.retriever.catalogue.records import Place, Write
from services.retriever.errors import IndexUnavailable
from services.retriever.index.edge import EdgeIndex
from services.retriever.indexing import draft_of
from services.retriever.resources import open_resources
from tests.fakes.hashing_embedder import HashingEmbedder
from tests.ports import free_port
from tests.service.retriever.points import point
from tests.service.retriever.process import retriever_process
from tests.service.retriever.retriever import (
    Client,
    RetrieverUnderTest,
    retriever_on,
    settings_for,
)

pytestmark = pytest.mark.anyio

DEADLINE_SECONDS = 60


async def in_step(retriever: RetrieverUnderTest) -> dict[int, int]:
    """Wait until index and catalogue agree on every revision's chunks, and return those."""
    expected: dict[int, int] = {}
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            live = await retriever.resources.catalogue.repairs.live_chunks()
            expected = {revision: chunks for revision, (_, chunks) in live.items()}
            with contextlib.suppress(IndexUnavailable):
                if await retriever.resources.index.revisions() == expected:
                    return expected
            await asyncio.sleep(0.02)


def child_of(retriever: RetrieverUnderTest) -> int:
    """The process id of the child that owns the index."""
    index = retriever.resources.index.current
    assert isinstance(index, EdgeIndex)
    assert index.child_pid is not None
    return index.child_pid


def word(name: object) -> str:
    """A word that only this document holds, without digits, which would be tokens of their own."""
    return "word" + "".join(chr(ord("a") + ord(char) % 26) for char in str(name))


async def test_a_killed_index_comes_back_with_all_it_had(retriever: RetrieverUnderTest) -> None:
    client = retriever.client
    for n in range(5):
        await client.put(f"d{n}", f"apple number {n}")
    os.kill(child_of(retriever), signal.SIGKILL)
    async with asyncio.timeout(DEADLINE_SECONDS):
        while (reply := await client.search("apple")).status != 200:
            assert reply.code == "index_unavailable"
    assert len(reply.passages) == 5
    assert await client.metric("inkstone_index_restarts_total") == 1


async def test_a_search_that_the_index_dies_under_is_a_503(retriever: RetrieverUnderTest) -> None:
    client, child = retriever.client, child_of(retriever)
    await client.put("d", "apple")
    os.kill(child, signal.SIGSTOP)
    search = asyncio.create_task(client.search("apple"))
    await asyncio.sleep(0.2)
    assert not search.done()
    os.kill(child, signal.SIGKILL)
    reply = await search
    assert (reply.status, reply.code) == (503, "index_unavailable")
    assert (await client.search("apple")).passages == ["apple"]


async def test_a_dead_index_is_not_ready(retriever: RetrieverUnderTest) -> None:
    os.kill(child_of(retriever), signal.SIGKILL)
    seen: list[int] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while 503 not in seen or seen[-1] != 200:
            async with retriever.client.session.get(retriever.client.url + "/readyz") as reply:
                seen.append(reply.status)


async def test_an_index_killed_again_and_again_loses_and_doubles_nothing(
    retriever: RetrieverUnderTest,
) -> None:
    client = retriever.client
    text = "\n\n".join(f"# Part {n}\n\n" + f"apple{n} " * 40 for n in range(20))
    names: list[str] = []
    enough = asyncio.Event()

    async def keep_writing(writer: int) -> None:
        while not enough.is_set():
            name = f"w{writer}n{len(names)}"
            names.append(name)
            while (await client.put(name, f"{word(name)}\n\n{text}")).status != 200:
                await asyncio.sleep(0.01)

    async def kill() -> None:
        for round_ in range(1, 4):
            while len(names) < 10 * round_ or not retriever.resources.index.ready:
                await asyncio.sleep(0.01)
            os.kill(child_of(retriever), signal.SIGKILL)
        enough.set()

    await asyncio.gather(kill(), *(keep_writing(n) for n in range(4)))
    assert await client.metric("inkstone_index_restarts_total") == 3
    assert len(await in_step(retriever)) == len(names)
    for name in names[::5]:
        found = await client.search(word(name), mode="lexical", top_k=50)
        assert len(found.passages) == 1


async def test_a_failed_write_leaves_nothing_and_the_former_document_stands(
    retriever: RetrieverUnderTest,
) -> None:
    client, embedder = retriever.client, retriever.embedder
    await client.put("d", "apple before")
    embedder.failure = Unavailable("The model broke.")
    assert (await client.put("d", "apple after")).status == 503
    assert (await client.put("other", "apple too", collection="new")).status == 503
    embedder.failure = None
    assert (await client.search("apple")).passages == ["apple before"]
    collections = (await client.call("GET", "/collections")).body["data"]
    assert [collection["id"] for collection in collections] == ["docs"]
    await in_step(retriever)
    assert (await client.put("d", "apple after")).body["outcome"] == "replaced"
    assert await client.metric('inkstone_documents_total{outcome="failed"}') == 2


async def test_a_collection_deleted_during_a_write_stays_deleted(
    retriever: RetrieverUnderTest,
) -> None:
    client, embedder = retriever.client, retriever.embedder
    await client.put("a", "apple")
    embedder.passages_may_go.clear()
    write = asyncio.create_task(client.put("b", "apple pie"))
    while not await retriever.resources.catalogue.writes.unfinished():
        await asyncio.sleep(0.01)
    await client.call("DELETE", "/collections/docs")
    embedder.passages_may_go.set()
    assert (await write).code == "collection_not_found"
    assert (await client.call("GET", "/collections")).body["data"] == []
    assert await in_step(retriever) == {}


async def test_a_write_that_was_under_way_is_finished_by_the_next_start(tmp_path: Path) -> None:
    document = DocumentWrite(text="apple pie", title="Pie", metadata={"year": 2024})
    async with retriever_on(tmp_path) as former:
        await former.client.put("d", "apple before")
        begun = await former.resources.catalogue.writes.begin(
            Place("acme", "docs", "d"), draft_of(document, ())
        )
        assert isinstance(begun, Write)
        assert (await former.client.search("apple")).passages == ["apple before"]
    async with retriever_on(tmp_path) as retriever:
        expected = await finished(retriever)
        assert list(expected) == [begun.revision]
        reply = await retriever.client.search("apple", filter=_year(2024))
        assert reply.passages == ["apple pie"]


async def finished(retriever: RetrieverUnderTest) -> dict[int, int]:
    """Wait until no write is left over, and index and catalogue agree."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while await retriever.resources.catalogue.writes.unfinished():
            await asyncio.sleep(0.02)
    return await in_step(retriever)


def _year(year: int) -> dict[str, Any]:
    return {"type": "eq", "key": "year", "value": year}


async def test_a_lost_index_is_made_anew_from_the_catalogue(tmp_path: Path) -> None:
    async with retriever_on(tmp_path) as former:
        for n in range(5):
            await former.client.put(
                f"d{n}", f"apple number {n}", allowed_groups=["staff"] * (n % 2)
            )
    shutil.rmtree(tmp_path / "index")
    async with retriever_on(tmp_path) as retriever:
        assert len(await in_step(retriever)) == 5
        rebuilt = 'inkstone_documents_total{outcome="rebuilt"}'
        async with asyncio.timeout(DEADLINE_SECONDS):
            while await retriever.client.metric(rebuilt) != 5:
                await asyncio.sleep(0.02)
        assert len((await retriever.client.search("apple")).passages) == 3
        staff = retriever.client.in_groups("staff")
        assert len((await staff.search("apple")).passages) == 5


async def test_a_broken_index_is_put_aside_and_made_anew(tmp_path: Path) -> None:
    async with retriever_on(tmp_path) as former:
        await former.client.put("d", "apple")
    for file in (tmp_path / "index").rglob("*"):
        if file.is_file():
            file.write_bytes(b"\xff" * 64)
    async with retriever_on(tmp_path) as retriever:
        await in_step(retriever)
        assert (await retriever.client.search("apple")).passages == ["apple"]
    assert len(list((tmp_path / "index").glob("*.broken-*"))) == 1


async def test_a_stop_is_not_lost_when_work_arrives_with_it(tmp_path: Path) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        async with open_resources(
            settings_for(tmp_path), CollectorRegistry(), embedder=HashingEmbedder()
        ) as resources:
            while resources.indexer.left_something.is_set():
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            resources.indexer.left_something.set()


async def test_points_that_nobody_knows_are_removed(tmp_path: Path) -> None:
    async with retriever_on(tmp_path) as former:
        await former.client.put("d", "apple")
        stray = point("apple stray", tenant="acme", revision=999)
        await former.resources.index.upsert([_widened(stray)])
        assert (await former.client.search("apple")).passages == ["apple"]
    async with retriever_on(tmp_path) as retriever:
        assert len(await in_step(retriever)) == 1


def _widened(narrow: Any) -> Any:
    from dataclasses import replace

    return replace(narrow, dense=[1.0] + [0.0] * 63)


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.long)])
async def test_a_retriever_killed_during_ingestion_loses_and_doubles_nothing(
    tmp_path: Path, rounds: int
) -> None:
    """Kill the whole process again and again while documents are written: nothing acknowledged is
    lost, nothing is there twice, and no document is half there."""
    acknowledged: set[str] = set()
    text = "\n\n".join(f"# Part {n}\n\n" + f"apple{n} " * 40 for n in range(10))
    async with aiohttp.ClientSession() as session:
        for round_ in range(rounds):
            async with retriever_process(tmp_path, free_port(), session) as (process, client):
                writers = [
                    asyncio.create_task(_keep_writing(client, f"r{round_}w{n}", text, acknowledged))
                    for n in range(4)
                ]
                while len(acknowledged) < 6 * (round_ + 1):
                    await asyncio.sleep(0.01)
                os.kill(process.pid, signal.SIGKILL)
                await asyncio.gather(*writers)
    async with retriever_on(tmp_path) as retriever:
        expected = await finished(retriever)
        assert set(expected.values()) == {11}
        # The index had all of it; nothing had to be made anew.
        rebuilt = 'inkstone_documents_total{outcome="rebuilt"}'
        assert await retriever.client.metric(rebuilt) == 0
        page = await retriever.client.call("GET", "/collections/docs/documents", limit="1000")
        stored = {document["id"] for document in page.body["data"]}
        assert acknowledged <= stored
        assert len(expected) == len(stored)
        for name in sorted(acknowledged)[:10]:
            found = await retriever.client.search(word(name), mode="lexical", top_k=50)
            assert len(found.passages) == 1


async def _keep_writing(client: Client, name: str, text: str, acknowledged: set[str]) -> None:
    number = 0
    while True:
        document = f"{name}n{number}"
        try:
            reply = await client.put(document, f"{word(document)} " * 30 + f"\n\n{text}")
        except aiohttp.ClientError:
            return
        assert reply.status == 200
        acknowledged.add(document)
        number += 1
