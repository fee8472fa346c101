"""Several retrievers on one catalogue, one index and one folder of files that wait."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr, ValidationError

from services.contracts.knowledge import Document, DocumentWrite
from services.retriever.catalogue.database import Database
from services.retriever.catalogue.members import Members, OtherModelsError
from services.retriever.catalogue.opening import Catalogue, catalogue_over, open_database
from services.retriever.catalogue.records import Place, Write
from services.retriever.errors import CollectionNotFound, DocumentBusy
from services.retriever.indexing import draft_of
from services.retriever.resources import open_resources
from services.retriever.settings import Jobs
from tests import postgres
from tests.cable import cable
from tests.fakes.hashing_embedder import HashingEmbedder, another_model
from tests.ports import free_port
from tests.service.retriever.ingesting import ended, ingest, stored
from tests.service.retriever.process import retriever_process
from tests.service.retriever.retriever import (
    Client,
    RetrieverUnderTest,
    Stores,
    retriever_on,
    settings_for,
)
from tests.service.retriever.test_crashes import finished, word

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not postgres.AVAILABLE, reason="there is no Postgres here"),
]

PLACE = Place("acme", "docs", "d")
FILES_A_JOB = 6
CHUNKS_A_FILE = 4


@contextlib.asynccontextmanager
async def two_retrievers(
    shared: Stores, tmp_path: Path
) -> AsyncIterator[tuple[RetrieverUnderTest, RetrieverUnderTest]]:
    async with (
        retriever_on(tmp_path / "one", **shared.settings) as one,
        retriever_on(tmp_path / "two", **shared.settings) as two,
    ):
        yield one, two


def changing_on(
    folder: Path, shared: Stores, embedder: HashingEmbedder | None = None
) -> AbstractAsyncContextManager[RetrieverUnderTest]:
    """A retriever that brings collections to another model."""
    model = embedder or another_model()
    return retriever_on(folder, model, HashingEmbedder(), **shared.settings)


def draft(text: str) -> DocumentWrite:
    return DocumentWrite(text=text)


async def begun(catalogue: Catalogue, text: str) -> Write:
    write = await catalogue.writes.begin(PLACE, draft_of(draft(text), ()))
    assert isinstance(write, Write)
    return write


async def joined(database: Database, lease_seconds: float = 30.0) -> tuple[Members, Catalogue]:
    members = Members(database, lease_seconds)
    await members.join(["model"])
    return members, catalogue_over(database, "model", members.name)


async def test_what_one_has_written_the_other_finds_and_replaces(
    shared: Stores, tmp_path: Path
) -> None:
    async with two_retrievers(shared, tmp_path) as (one, two):
        await one.client.put("d", "사과는 빨갛다", allowed_groups=["staff"])
        assert (await two.client.search("사과는")).passages == []
        assert (await two.client.in_groups("staff").search("사과는")).passages == ["사과는 빨갛다"]
        replaced = await two.client.put("d", "배는 노랗다")
        assert replaced.body["outcome"] == "replaced"
        assert (await one.client.search("배는")).passages == ["배는 노랗다"]
        started = await ingest(one.client, [("a.txt", b"apple")])
        assert (await ended(two.client, started.body["id"]))["status"] == "succeeded"


async def test_the_same_document_written_on_both_at_once_is_one_document(
    shared: Stores, tmp_path: Path
) -> None:
    async with two_retrievers(shared, tmp_path) as both:
        writes = [
            each.client.put("d", f"apple {n} of {which}")
            for n in range(8)
            for which, each in enumerate(both)
        ]
        assert {reply.status for reply in await asyncio.gather(*writes)} == {200}
        assert len((await both[0].client.search("apple")).passages) == 1
        assert await stored(both[1].client) == ["d"]
        assert list((await finished(both[0])).values()) == [1]


async def test_a_retriever_with_another_model_does_not_start_beside_the_others(
    shared: Stores, tmp_path: Path
) -> None:
    async with retriever_on(tmp_path / "one", **shared.settings):
        other = settings_for(tmp_path / "two", **shared.settings)
        with pytest.raises(OtherModelsError, match="stop all retrievers"):
            async with open_resources(other, CollectorRegistry(), embedder=another_model()):
                pass
    async with retriever_on(
        tmp_path / "two", another_model(), HashingEmbedder(), **shared.settings
    ):
        pass


async def test_one_of_many_retrievers_leads_a_change_of_the_model_for_all(
    shared: Stores, tmp_path: Path
) -> None:
    reembedded = 'inkstone_documents_total{outcome="reembedded"}'
    async with retriever_on(tmp_path / "one", **shared.settings) as former:
        for n in range(10):
            await former.client.put(f"d{n}", f"apple number {n}")
    held = another_model()
    held.passages_may_go.clear()
    async with (
        changing_on(tmp_path / "one", shared, held) as one,
        changing_on(tmp_path / "two", shared) as two,
    ):
        async with asyncio.timeout(60):
            while not held.kinds:
                await asyncio.sleep(0.02)
            assert len((await two.client.search("apple", top_k=50)).passages) == 10
            held.passages_may_go.set()
            while not (one.resources.rooms.settled and two.resources.rooms.settled):
                assert len((await two.client.search("apple", top_k=50)).passages) == 10
                await asyncio.sleep(0.02)
        assert len((await two.client.search("apple", top_k=50)).passages) == 10
        assert [await each.client.metric(reembedded) for each in (one, two)] == [10, 0]


def test_a_shared_catalogue_needs_a_shared_index_and_folder(tmp_path: Path) -> None:
    url = SecretStr("postgresql://inkstone@127.0.0.1/inkstone")
    with pytest.raises(ValidationError, match="set qdrant_url and spool_dir too"):
        settings_for(tmp_path, catalogue_url=url)


async def test_a_document_that_a_living_member_writes_is_left_to_it(shared: Stores) -> None:
    async with open_database(shared.catalogue_url) as database:
        first, theirs = await joined(database)
        _, ours = await joined(database)
        write = await begun(theirs, "apple")
        with pytest.raises(DocumentBusy):
            await begun(ours, "pear")
        assert await ours.writes.left_behind() == []
        await first.leave()
        assert [one.revision for one in await ours.writes.left_behind()] == [write.revision]
        assert (await begun(ours, "pear")).revision > write.revision


async def test_a_member_that_was_taken_for_dead_undoes_nothing(shared: Stores) -> None:
    async with open_database(shared.catalogue_url) as database:
        first, theirs = await joined(database)
        _, ours = await joined(database)
        write = await begun(theirs, "apple")
        await first.leave()
        assert await ours.writes.take_over(write.revision)
        document, _ = await ours.writes.commit(write, 1)
        again, replaced = await theirs.writes.commit(write, 1)
        assert isinstance(again, Document)
        assert (again.id, again.content_hash, replaced) == ("d", document.content_hash, False)
        await theirs.writes.abandon(write)
        await theirs.batches.abandon([write])
        assert await ours.repairs.leftovers(10) == []
        assert await ours.repairs.stored(PLACE, write.revision) is not None
        await begun(ours, "pear")
        await ours.documents.delete_collection("acme", "docs")
        with pytest.raises(CollectionNotFound):
            await theirs.writes.commit(write, 1)


async def test_the_oldest_living_member_leads(shared: Stores) -> None:
    async with open_database(shared.catalogue_url) as database:
        first, _ = await joined(database, lease_seconds=0.5)
        second, _ = await joined(database)
        assert (await first.leads(), await second.leads()) == (True, False)
        async with asyncio.timeout(20):
            while not await second.leads():
                await asyncio.sleep(0.02)
        # Whoever was taken for dead begins anew, as the youngest.
        await first.stay()
        assert (await first.leads(), await second.leads()) == (False, True)


async def test_a_member_that_was_taken_for_dead_comes_back_only_with_the_same_models(
    shared: Stores,
) -> None:
    async with open_database(shared.catalogue_url) as database:
        paused, _ = await joined(database, lease_seconds=0.3)
        changed = Members(database, 30.0)
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(OtherModelsError):
                    await changed.join(["another"])
                    break
                await asyncio.sleep(0.02)
        with pytest.raises(OtherModelsError):
            await paused.stay()
        await changed.leave()
        await paused.stay()
        assert await paused.leads()


async def until_missing(client: Client, expected: dict[str, str]) -> None:
    """Wait until the retriever says that exactly this keeps it from its work."""
    async with asyncio.timeout(60):
        while (await client.call("GET", "/readyz")).body["missing"] != expected:
            await asyncio.sleep(0.05)


async def test_a_catalogue_that_is_away_is_a_503_and_comes_back(
    postgres_url: str, qdrant_url: str, tmp_path: Path
) -> None:
    async with cable(postgres_url) as (laid, url):
        stores = Stores(url, qdrant_url, tmp_path / "spool")
        jobs = Jobs(lease_seconds=1.0)
        async with retriever_on(tmp_path, jobs=jobs, **stores.settings) as retriever:
            client = retriever.client
            await client.put("d", "apple")
            laid.pull()
            for refused in (await client.search("apple"), await client.put("e", "pear")):
                assert (refused.status, refused.code) == (503, "catalogue_unavailable")
            await until_missing(client, {"catalogue": "the catalogue cannot be reached"})
            laid.plugged_in = True
            await until_missing(client, {})
            async with asyncio.timeout(60):
                while (await client.put("e", "pear")).status != 200:
                    await asyncio.sleep(0.05)
            started = await ingest(client, [("a.txt", b"plum")])
            assert (await ended(client, started.body["id"]))["status"] == "succeeded"
            assert (await client.search("apple")).passages[:1] == ["apple"]


async def test_a_character_that_postgres_does_not_keep_moves_no_span(
    shared: Stores, tmp_path: Path
) -> None:
    async with retriever_on(tmp_path, **shared.settings) as retriever:
        client = retriever.client
        assert (await client.put("d", "apple\0 pie", metadata={"a": "b\0c"})).status == 200
        read = await client.call("GET", "/collections/docs/documents/d")
        assert read.body["text"] == "apple\ufffd pie"
        assert len((await client.search("pie")).passages) == 1


async def test_bytes_that_another_process_is_about_to_record_are_left_alone(
    shared: Stores, tmp_path: Path
) -> None:
    async with retriever_on(tmp_path, **shared.settings) as retriever:
        shared.spool_dir.mkdir(exist_ok=True)
        young, old = shared.spool_dir / "young", shared.spool_dir / "old"
        for segment in (young, old):
            segment.write_bytes(b"apple")
        os.utime(old, (time.time() - 3600,) * 2)
        await retriever.resources.intake.workers.tidy()
        assert [path.name for path in shared.spool_dir.iterdir()] == ["young"]


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.long)])
async def test_one_of_two_retrievers_killed_again_and_again_loses_and_doubles_nothing(
    shared: Stores, tmp_path: Path, rounds: int
) -> None:
    jobs: list[str] = []
    documents: set[str] = set()
    chance = random.Random(11)

    async def keep_asking(client: Client, name: str) -> None:
        for number in range(1000):
            names = [f"{name}j{number}f{n}.txt" for n in range(FILES_A_JOB)]
            try:
                started = await ingest(client, [(each, content(each)) for each in names])
                assert started.status == 202, started.body
                jobs.append(started.body["id"])
                documents.update(names)
                single = f"{name}n{number}"
                written = await client.put(single, content(single).decode())
                assert written.status == 200, written.body
                documents.add(single)
                await ended(client, started.body["id"])
            except aiohttp.ClientError:
                return

    async with (
        aiohttp.ClientSession() as session,
        retriever_process(tmp_path / "stays", free_port(), session, *shared.arguments) as (
            _,
            stays,
        ),
    ):
        for round_ in range(rounds):
            asked = len(jobs)
            async with retriever_process(
                tmp_path / "dies", free_port(), session, *shared.arguments
            ) as (process, dies):
                asking = asyncio.create_task(keep_asking(dies, f"r{round_}"))
                while len(jobs) == asked:
                    assert not asking.done() or asking.result() is None
                    await asyncio.sleep(0.01)
                await asyncio.sleep(chance.uniform(0.0, 1.0))
                os.kill(process.pid, signal.SIGKILL)
                await asking
            # Whoever stays finishes what was acknowledged.
            for id_ in jobs:
                job = await ended(stays, id_)
                assert (job["status"], job["progress"]["failed"]) == ("succeeded", 0)
    async with retriever_on(tmp_path / "last", jobs=Jobs(), **shared.settings) as retriever:
        expected = await finished(retriever)
        assert set(expected.values()) == {CHUNKS_A_FILE}
        names = await stored(retriever.client)
        assert documents <= set(names)
        assert len(names) == len(set(names)) == len(expected)
        assert await retriever.client.metric('inkstone_documents_total{outcome="rebuilt"}') == 0
        for name in sorted(documents)[:10]:
            found = await retriever.client.search(word(name), mode="lexical", top_k=50)
            assert len(found.passages) == 1


def content(name: str) -> bytes:
    """A file of four chunks with a word of its own."""
    parts = "\n\n".join(f"# Part {n}\n\n" + f"apple{n} " * 40 for n in range(3))
    return (f"{word(name)} " + "pear " * 30 + f"\n\n{parts}").encode()
