"""Vector stores with the official client, in front of a real retriever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.types import VectorStore, VectorStoreSearchResponse
from openai.types.vector_stores import FileContentResponse, VectorStoreFile, VectorStoreFileBatch

from services.retriever.errors import IndexUnavailable
from tests.service.gateway.gateway import segment
from tests.service.gateway.knowledge_stack import KnowledgeStack, knowledge_stack, refusal, strict

pytestmark = pytest.mark.anyio

REFUNDS = ("환불 규정.md", "# 환불 규정\n\n환불은 구매 후 14일 안에 신청합니다.".encode())
WARRANTY = ("warranty.txt", b"The warranty lasts two years from the day of purchase.")


@pytest.fixture
async def stack(tmp_path: Path, database_url: str | None) -> AsyncIterator[KnowledgeStack]:
    async with knowledge_stack(tmp_path, database_url=database_url) as running:
        yield running


@pytest.fixture
async def client(stack: KnowledgeStack) -> AsyncOpenAI:
    return await stack.client()


async def found(client: AsyncOpenAI, store: str, query: Any, **options: Any) -> list[str]:
    page = await client.vector_stores.search(store, query=query, **options)
    return [hit.filename for hit in page.data]


async def test_files_are_uploaded_indexed_and_found_in_both_languages(client: AsyncOpenAI) -> None:
    store = strict(VectorStore, await client.vector_stores.create(name="규정", metadata={"a": "b"}))
    assert (store.name, store.metadata, store.status) == ("규정", {"a": "b"}, "completed")
    for file in (REFUNDS, WARRANTY):
        done = await client.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=file, attributes={"lang": "x", "year": 2024, "on": True}
        )
        assert strict(VectorStoreFile, done).status == "completed", done.last_error
    page = await client.vector_stores.search(store.id, query="환불은 언제까지 신청하나요?")
    hit = strict(VectorStoreSearchResponse, page.data[0])
    assert (hit.filename, hit.attributes) == (
        REFUNDS[0],
        {"lang": "x", "year": 2024, "on": True},
    )
    assert "14일" in hit.content[0].text
    assert 0 <= hit.score <= 1
    assert (await found(client, store.id, "How long is the warranty?"))[0] == WARRANTY[0]
    assert set(await found(client, store.id, ["환불 신청", "warranty purchase"])) == {
        REFUNDS[0],
        WARRANTY[0],
    }
    after = strict(VectorStore, await client.vector_stores.retrieve(store.id))
    assert (after.file_counts.completed, after.file_counts.total) == (2, 2)
    assert after.usage_bytes == len(REFUNDS[1]) + len(WARRANTY[1])
    content = await client.vector_stores.files.content(hit.file_id, vector_store_id=store.id)
    (part,) = [strict(FileContentResponse, part) for part in content.data]
    assert part.text == REFUNDS[1].decode()


async def test_filters_and_thresholds_narrow_a_search(client: AsyncOpenAI) -> None:
    store = await client.vector_stores.create(name="both")
    for file, lang in ((REFUNDS, "ko"), (WARRANTY, "en")):
        await client.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=file, attributes={"lang": lang}
        )
    korean: Any = {"type": "eq", "key": "lang", "value": "ko"}
    assert await found(client, store.id, "warranty", filters=korean) == [REFUNDS[0]]
    both: Any = {"type": "and", "filters": [korean, {**korean, "value": "en"}]}
    assert await found(client, store.id, "warranty", filters=both) == []
    assert len(await found(client, store.id, "warranty", max_num_results=1)) == 1
    exact = WARRANTY[1].decode()
    options: Any = {"score_threshold": 0.5, "ranker": "auto"}
    assert await found(client, store.id, exact, ranking_options=options) == [WARRANTY[0]]


async def test_other_attributes_are_searched_for_once_the_file_is_completed(
    client: AsyncOpenAI,
) -> None:
    store = await client.vector_stores.create(name="s")
    file = await client.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=REFUNDS, attributes={"lang": "en"}
    )
    changed = await client.vector_stores.files.update(
        file.id, vector_store_id=store.id, attributes={"lang": "ko"}
    )
    assert strict(VectorStoreFile, changed).attributes == {"lang": "ko"}
    await client.vector_stores.files.poll(file.id, vector_store_id=store.id)
    for lang, hits in (("ko", [REFUNDS[0]]), ("en", [])):
        test: Any = {"type": "eq", "key": "lang", "value": lang}
        assert await found(client, store.id, "환불", filters=test) == hits


async def test_a_bad_file_fails_with_its_reason_and_the_others_go_on(client: AsyncOpenAI) -> None:
    store = await client.vector_stores.create(name="s")
    reasons = {}
    for name, content in (
        ("pixels.png", b"\x89PNG\r\n\x1a\n" + bytes(64)),
        ("blank.txt", b" \n\t "),
        ("broken.pdf", b"%PDF-1.7 and then nothing"),
    ):
        done = await client.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=(name, content)
        )
        assert strict(VectorStoreFile, done).status == "failed"
        assert done.last_error is not None
        reasons[name] = done.last_error.code
        assert "(file_" in done.last_error.message
    assert reasons == {
        "pixels.png": "unsupported_file",
        "blank.txt": "invalid_file",
        "broken.pdf": "invalid_file",
    }
    good = await client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=REFUNDS)
    assert good.status == "completed"
    failed = await client.vector_stores.files.list(store.id, filter="failed")
    assert {file.status for file in failed.data} == {"failed"}
    assert len(failed.data) == 3


async def test_a_batch_indexes_many_files_and_counts_them(client: AsyncOpenAI) -> None:
    store = await client.vector_stores.create(name="s")
    files = [(f"문서 {n}.txt", f"문서 번호 {n} 입니다.".encode()) for n in range(5)]
    batch = strict(
        VectorStoreFileBatch,
        await client.vector_stores.file_batches.upload_and_poll(
            store.id, files=[*files, ("bad.zip", b"PK\x03\x04nothing")]
        ),
    )
    assert (batch.status, batch.file_counts.completed, batch.file_counts.failed) == (
        "completed",
        5,
        1,
    )
    listed = client.vector_stores.file_batches.list_files(
        batch.id, vector_store_id=store.id, limit=2, order="asc"
    )
    ids = [strict(VectorStoreFile, file).id async for file in listed]
    assert len(ids) == len(set(ids)) == 6


async def test_a_cancelled_batch_leaves_nothing_to_find(
    stack: KnowledgeStack, client: AsyncOpenAI
) -> None:
    stack.embedder.passages_may_go.clear()
    store = await client.vector_stores.create(name="s")
    ids = [
        (await client.files.create(file=(f"{n}.txt", b"apple"), purpose="assistants")).id
        for n in range(4)
    ]
    batch = await client.vector_stores.file_batches.create(store.id, file_ids=ids)
    assert (batch.status, batch.file_counts.in_progress) == ("in_progress", 4)
    cancelled = await client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store.id)
    assert strict(VectorStoreFileBatch, cancelled).status == "cancelled"
    assert cancelled.file_counts.cancelled == 4
    stack.embedder.passages_may_go.set()
    last = await client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=WARRANTY)
    await stack.settled()
    assert last.status == "completed"
    assert await found(client, store.id, "apple") == [WARRANTY[0]]


async def test_one_unknown_file_keeps_a_whole_batch_and_a_new_store_out(
    client: AsyncOpenAI,
) -> None:
    store = await client.vector_stores.create(name="s")
    file = await client.files.create(file=REFUNDS, purpose="assistants")
    ids = [file.id, "file-unknown"]
    batch = client.vector_stores.file_batches.create(store.id, file_ids=ids)
    assert await refusal(batch) == (404, "file_not_found")
    assert (await client.vector_stores.files.list(store.id)).data == []
    assert await refusal(client.vector_stores.create(file_ids=ids)) == (404, "file_not_found")
    assert [kept.id for kept in (await client.vector_stores.list()).data] == [store.id]


async def test_a_file_that_is_taken_out_is_found_no_more_and_may_come_back(
    stack: KnowledgeStack, client: AsyncOpenAI
) -> None:
    file = await client.files.create(file=REFUNDS, purpose="assistants")
    store = await client.vector_stores.create(name="s", file_ids=[file.id])
    await client.vector_stores.files.poll(file.id, vector_store_id=store.id)
    assert await found(client, store.id, "환불") == [REFUNDS[0]]
    gone = await client.vector_stores.files.delete(file.id, vector_store_id=store.id)
    assert (gone.id, gone.deleted, gone.object) == (file.id, True, "vector_store.file.deleted")
    assert await found(client, store.id, "환불") == []
    absent = client.vector_stores.files.retrieve(file.id, vector_store_id=store.id)
    assert await refusal(absent) == (404, "vector_store_file_not_found")
    back = await client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id)
    await stack.settled()
    assert back.status == "completed"
    assert await found(client, store.id, "환불") == [REFUNDS[0]]


async def test_a_file_that_is_taken_out_while_it_is_indexed_stays_out(
    stack: KnowledgeStack, client: AsyncOpenAI
) -> None:
    store = await client.vector_stores.create(name="s")
    stack.embedder.passages_may_go.clear()
    file = await client.files.create(file=REFUNDS, purpose="assistants")
    await client.vector_stores.files.create(file_id=file.id, vector_store_id=store.id)
    await stack.writing()
    await client.vector_stores.files.delete(file.id, vector_store_id=store.id)
    assert (await client.vector_stores.files.list(store.id)).data == []
    assert (await client.vector_stores.retrieve(store.id)).file_counts.total == 0
    stack.embedder.passages_may_go.set()
    await stack.settled()
    assert await found(client, store.id, "환불") == []
    assert (await client.vector_stores.files.list(store.id)).data == []


async def test_a_store_that_is_deleted_while_a_file_is_indexed_leaves_no_collection(
    stack: KnowledgeStack, client: AsyncOpenAI
) -> None:
    store = await client.vector_stores.create(name="s")
    stack.embedder.passages_may_go.clear()
    file = await client.files.create(file=REFUNDS, purpose="assistants")
    await client.vector_stores.files.create(file_id=file.id, vector_store_id=store.id)
    await stack.writing()
    gone = await client.vector_stores.delete(store.id)
    assert (gone.deleted, gone.object) == (True, "vector_store.deleted")
    assert await refusal(client.vector_stores.retrieve(store.id)) == (404, "vector_store_not_found")
    stack.embedder.passages_may_go.set()
    await stack.settled()
    assert (await client.vector_stores.list()).data == []
    assert (await stack.gateway.admin.get("/v1/collections")).body["data"] == []
    assert (await client.files.retrieve(file.id)).id == file.id


async def test_what_two_say_of_a_vector_store_at_once_is_kept_and_a_stale_word_is_refused(
    stack: KnowledgeStack, client: AsyncOpenAI
) -> None:
    store = await client.vector_stores.create(name="규정")
    path, admin = f"/v1/vector_stores/{store.id}", stack.gateway.admin
    assert (await admin.get(path)).headers["etag"] == '"1"'
    await asyncio.gather(
        client.vector_stores.update(store.id, name="사내 규정"),
        client.vector_stores.update(store.id, metadata={"k": "v"}),
    )
    both = (await admin.get(path)).body
    assert (both["name"], both["metadata"]) == ("사내 규정", {"k": "v"})
    assert both["inkstone"]["version"] == 3
    stale = await admin.post(path, json={"name": "옛"}, headers={"If-Match": '"1"'})
    assert (stale.status, stale.code) == (409, "vector_store_changed")
    assert (await admin.get(path)).body["name"] == "사내 규정"
    seen = await admin.post(path, json={"name": "새"}, headers={"If-Match": '"3"'})
    assert (seen.status, seen.body["name"]) == (200, "새")


async def test_a_deleted_file_leaves_every_vector_store(
    stack: KnowledgeStack, client: AsyncOpenAI
) -> None:
    file = await client.files.create(file=REFUNDS, purpose="assistants")
    stores = [await client.vector_stores.create(file_ids=[file.id]) for _ in range(2)]
    await stack.settled()
    assert (await client.files.delete(file.id)).deleted
    for store in stores:
        assert await found(client, store.id, "환불") == []
    await stack.settled()
    assert (await client.vector_stores.files.list(stores[0].id)).data == []


async def test_a_collection_is_a_vector_store_and_a_vector_store_a_collection(
    stack: KnowledgeStack, client: AsyncOpenAI
) -> None:
    admin = stack.gateway.admin
    await admin.put(
        f"/v1/collections/handbook/documents/{segment('환불')}", json={"text": "환불은 14일 안에."}
    )
    (store,) = (await client.vector_stores.list()).data
    assert (strict(VectorStore, store).id, store.name) == ("handbook", "handbook")
    (hit,) = (await client.vector_stores.search("handbook", query="환불")).data
    assert hit.file_id == "환불"
    renamed = await client.vector_stores.update("handbook", name="사내 규정", metadata={"k": "v"})
    assert (renamed.name, renamed.metadata) == ("사내 규정", {"k": "v"})
    done = await client.vector_stores.files.upload_and_poll(
        vector_store_id="handbook", file=WARRANTY
    )
    search = {"query": "warranty purchase", "top_k": 1}
    passages = await stack.gateway.application.post("/v1/collections/handbook/search", json=search)
    assert passages.body["data"][0]["document_id"] == done.id
    assert (await admin.delete("/v1/collections/handbook")).status == 200
    assert (await client.vector_stores.list()).data == []
    await admin.put("/v1/collections/handbook/documents/neu", json={"text": "anew"})
    anew = await client.vector_stores.retrieve("handbook")
    assert (anew.name, anew.file_counts.total) == ("handbook", 0)


async def test_stores_are_listed_page_by_page_in_either_direction(client: AsyncOpenAI) -> None:
    made = [(await client.vector_stores.create(name=str(n))).id for n in range(5)]
    for order in ("asc", "desc"):
        listed = client.vector_stores.list(limit=2, order=order)
        assert sorted([store.id async for store in listed]) == sorted(made)
    whole = (await client.vector_stores.list(order="asc")).data
    reverse = (await client.vector_stores.list(order="desc")).data
    assert [store.id for store in whole] == [store.id for store in reversed(reverse)]


async def test_a_file_waits_while_the_retriever_takes_none(
    stack: KnowledgeStack, client: AsyncOpenAI
) -> None:
    store = await client.vector_stores.create(name="s")
    stack.embedder.failure = IndexUnavailable("not now")
    file = await client.files.create(file=REFUNDS, purpose="assistants")
    await client.vector_stores.files.create(file_id=file.id, vector_store_id=store.id)
    await stack.postponed(times=7)
    held = await client.vector_stores.files.retrieve(file.id, vector_store_id=store.id)
    assert held.status == "in_progress"
    stack.embedder.failure = None
    done = await client.vector_stores.files.poll(file.id, vector_store_id=store.id)
    assert done.status == "completed"


async def test_a_file_that_fails_again_and_again_is_given_up(
    stack: KnowledgeStack, client: AsyncOpenAI
) -> None:
    store = await client.vector_stores.create(name="s")
    stack.embedder.failure = RuntimeError("a defect")
    done = await client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=REFUNDS)
    assert done.status == "failed"
    assert done.last_error is not None
    assert done.last_error.code == "server_error"
    assert "defect" not in done.last_error.message
