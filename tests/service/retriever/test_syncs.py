"""Keeping a collection in step with a folder."""

from __future__ import annotations

import asyncio
import unicodedata
from pathlib import Path

import pytest

from services.retriever.settings import Jobs
from tests.service.retriever.ingesting import (
    DEADLINE_SECONDS,
    act,
    ended,
    items,
    manifest,
    reached,
    send,
    start_sync,
    stored,
    synced,
)
from tests.service.retriever.retriever import Client, RetrieverUnderTest, retriever_on

pytestmark = pytest.mark.anyio

FOLDER = {"a.txt": b"apple", "반품.txt": "반품은 14일 안에 됩니다.".encode(), "c.txt": b"cherry"}


async def test_only_what_is_new_or_changed_is_asked_for(
    client: Client, shared_retriever: RetrieverUnderTest
) -> None:
    assert (await synced(client, FOLDER))["progress"]["created"] == 3
    embedded = len(shared_retriever.embedder.embedded)
    started = await start_sync(client, {**FOLDER, "a.txt": b"apricot", "d.txt": b"date"})
    assert started.body["needed"] == ["a.txt", "d.txt"]
    await send(client, started.body["id"], {"a.txt": b"apricot", "d.txt": b"date"})
    progress = (await ended(client, started.body["id"]))["progress"]
    assert (progress["unchanged"], progress["replaced"], progress["created"]) == (2, 1, 1)
    assert len(shared_retriever.embedder.embedded) == embedded + 2


async def test_a_sync_with_nothing_to_do_ends_at_once(client: Client) -> None:
    await synced(client, FOLDER)
    again = await synced(client, FOLDER)
    assert (again["status"], again["progress"]["unchanged"]) == ("succeeded", 3)
    assert (await synced(client, {}))["status"] == "succeeded"
    assert len(await stored(client)) == 3


async def test_documents_whose_file_is_gone_are_removed_when_that_was_agreed_to(
    client: Client,
) -> None:
    await synced(client, FOLDER)
    fewer = {"a.txt": b"apple"}
    await synced(client, fewer)
    assert len(await stored(client)) == 3
    planned = await client.call("POST", "/collections/docs/ingestions/plan", manifest(fewer))
    assert (planned.body["removed"], planned.body["unchanged"]) == (2, 1)
    assert planned.body["removed_ids"] == ["c.txt", "반품.txt"]
    refused = await start_sync(client, fewer, remove_at_most=1)
    assert (refused.status, refused.code) == (409, "sync_removes_more")
    assert (await synced(client, fewer, remove_at_most=2))["progress"]["deleted"] == 2
    assert await stored(client) == ["a.txt"]
    assert (await client.search("cherry", mode="lexical")).passages == []


async def test_only_documents_of_the_same_source_are_removed(client: Client) -> None:
    await client.put("written.txt", "written by hand")
    await synced(client, {"theirs.txt": b"theirs"}, source="another")
    await synced(client, FOLDER)
    await client.put("a.txt", "apple, and somebody else's words")
    planned = await client.call("POST", "/collections/docs/ingestions/plan", manifest({}))
    assert planned.body["removed_ids"] == ["c.txt", "반품.txt"]
    await synced(client, {}, remove_at_most=10)
    assert await stored(client) == ["a.txt", "theirs.txt", "written.txt"]


async def test_a_document_written_otherwise_after_the_plan_is_not_removed(tmp_path: Path) -> None:
    async with retriever_on(tmp_path) as retriever:
        client = retriever.client
        await synced(client, FOLDER)
        started = await start_sync(client, {"new.txt": b"new"}, remove_at_most=3)
        await client.put("c.txt", "cherry, and somebody else's words")
        await send(client, started.body["id"], {"new.txt": b"new"})
        progress = (await ended(client, started.body["id"]))["progress"]
        assert (progress["deleted"], progress["unchanged"]) == (2, 1)
        assert await stored(client) == ["c.txt", "new.txt"]


async def test_a_document_changed_otherwise_is_brought_back(client: Client) -> None:
    await synced(client, FOLDER)
    await client.put("a.txt", "somebody else's words")
    started = await start_sync(client, FOLDER)
    assert started.body["needed"] == ["a.txt"]
    await send(client, started.body["id"], {"a.txt": b"apple"})
    await ended(client, started.body["id"])
    assert (await client.search("apple", top_k=1)).passages == ["apple"]


async def test_other_groups_or_metadata_are_a_change(client: Client) -> None:
    await synced(client, FOLDER)
    started = await start_sync(client, FOLDER, allowed_groups=["staff"])
    assert len(started.body["needed"]) == 3
    await send(client, started.body["id"], FOLDER)
    assert (await ended(client, started.body["id"]))["progress"]["replaced"] == 3
    assert (await client.search("apple")).passages == []


async def test_bytes_may_come_in_several_requests_and_again(client: Client) -> None:
    id_ = (await start_sync(client, FOLDER)).body["id"]
    assert (await send(client, id_, {"a.txt": b"apple"})).status == 200
    assert (await send(client, id_, {"a.txt": b"apple"})).status == 200
    refused = await send(client, id_, {"unknown.txt": b"x", "c.txt": b"cherry"})
    assert (refused.status, refused.code) == (400, "files_unexpected")
    assert (await send(client, id_, {"반품.txt": FOLDER["반품.txt"]})).status == 200
    assert (await ended(client, id_))["progress"]["created"] == 3


async def test_a_file_that_changed_since_the_manifest_is_stored_as_it_came(client: Client) -> None:
    id_ = (await start_sync(client, {"a.txt": b"apple"})).body["id"]
    await send(client, id_, {"a.txt": b"apricot"})
    await ended(client, id_)
    assert (await start_sync(client, {"a.txt": b"apricot"})).body["needed"] == []
    assert (await start_sync(client, {"a.txt": b"apple"})).body["needed"] == ["a.txt"]


async def test_a_macs_file_name_is_the_same_file(client: Client) -> None:
    name = unicodedata.normalize("NFD", "가나.txt")
    started = await start_sync(client, {name: b"apple"})
    assert started.body["needed"] == ["가나.txt"]
    await send(client, started.body["id"], {name: b"apple"})
    assert (await ended(client, started.body["id"]))["progress"]["created"] == 1
    assert (await start_sync(client, {"가나.txt": b"apple"})).body["needed"] == []


async def test_files_that_are_never_sent_fail_in_the_end(tmp_path: Path) -> None:
    async with retriever_on(tmp_path, jobs=Jobs(file_patience_seconds=0.5)) as retriever:
        client = retriever.client
        id_ = (await start_sync(client, FOLDER)).body["id"]
        await send(client, id_, {"a.txt": b"apple"})
        job = await ended(client, id_)
        assert (job["status"], job["progress"]["created"], job["progress"]["failed"]) == (
            "failed",
            1,
            2,
        )
        failed = await items(client, id_, state="failed")
        assert {item["code"] for item in failed} == {"file_never_sent"}
        assert (await send(client, id_, {"c.txt": b"cherry"})).code == "ingestion_finished"


async def test_a_job_that_awaits_bytes_holds_up_nobody(tmp_path: Path) -> None:
    async with retriever_on(tmp_path, jobs=Jobs(concurrent=1)) as retriever:
        client = retriever.client
        waiting = (await start_sync(client, FOLDER)).body["id"]
        await send(client, waiting, {"a.txt": b"apple"})
        async with asyncio.timeout(DEADLINE_SECONDS):
            while "a.txt" not in await stored(client):
                await asyncio.sleep(0.02)
        await synced(client.neighbour, {"b.txt": b"pear"})
        await reached(client, waiting, "queued")
        assert (await act(client, waiting, "cancel")).body["progress"]["cancelled"] == 2
