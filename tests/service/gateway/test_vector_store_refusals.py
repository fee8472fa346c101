"""What `/v1/vector_stores` refuses: bad input, unknown names, other tenants, missing rights."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.service.gateway.knowledge_stack import KnowledgeStack, knowledge_stack, refusal

pytestmark = pytest.mark.anyio

PATH = "/v1/vector_stores"
TEXT = ("a.txt", b"The warranty lasts two years.")


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KnowledgeStack]:
    """One stack for the whole module: nothing here changes it."""
    async with knowledge_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def client(stack: KnowledgeStack) -> AsyncOpenAI:
    return await stack.client()


@pytest.fixture(scope="module")
async def store(client: AsyncOpenAI) -> str:
    made = await client.vector_stores.create(name="s")
    await client.vector_stores.files.upload_and_poll(vector_store_id=made.id, file=TEXT)
    return made.id


STATIC = {"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}}
EQ = {"type": "eq", "key": "k", "value": 1}
BAD: list[tuple[str, Any, str]] = [
    ("", {"expires_after": {"anchor": "last_active_at", "days": 1}}, "expires_after_unsupported"),
    ("", {"chunking_strategy": STATIC}, "chunking_strategy_unsupported"),
    ("", {"metadata": {str(n): "x" for n in range(17)}}, "invalid_request"),
    ("", {"metadata": {"k": 1}}, "invalid_request"),
    ("", {"metadata": {"k" * 65: "x"}}, "invalid_request"),
    ("", {"name": "x" * 257}, "invalid_request"),
    ("", {"file_ids": ["file-x"] * 2001}, "invalid_request"),
    ("", {"name": "a\0b"}, "invalid_request"),
    ("", {"name": "half a character: \ud83d"}, "invalid_request"),
    ("", {"metadata": {"k": "\ud83d"}}, "invalid_request"),
    ("", {"file_ids": ["../x"]}, "invalid_request"),
    ("", {"surprise": 1}, "invalid_request"),
    ("", [], "invalid_request"),
    ("/{store}", {"expires_after": {"anchor": "x", "days": 1}}, "expires_after_unsupported"),
    ("/{store}/files", {}, "invalid_request"),
    ("/{store}/files", {"file_id": ""}, "invalid_request"),
    (
        "/{store}/files",
        {"file_id": "file-x", "chunking_strategy": STATIC},
        "chunking_strategy_unsupported",
    ),
    ("/{store}/files", {"file_id": "file-x", "attributes": {"k": [1]}}, "invalid_request"),
    ("/{store}/files", {"file_id": "file-x", "attributes": {"k": None}}, "invalid_request"),
    ("/{store}/files", {"file_id": "file-x", "attributes": {"": 1}}, "invalid_request"),
    ("/{store}/files", {"file_id": "file-x", "attributes": {"k": "x" * 513}}, "invalid_request"),
    ("/{store}/files", {"file_id": "file-x", "attributes": {"k": 1e999}}, "invalid_request"),
    ("/{store}/file_batches", {}, "invalid_request"),
    ("/{store}/file_batches", {"file_ids": []}, "invalid_request"),
    (
        "/{store}/file_batches",
        {"file_ids": ["a"], "files": [{"file_id": "b"}]},
        "invalid_request",
    ),
    ("/{store}/search", {}, "invalid_request"),
    ("/{store}/search", {"query": ""}, "invalid_request"),
    ("/{store}/search", {"query": []}, "invalid_request"),
    ("/{store}/search", {"query": "\ud83d"}, "invalid_request"),
    ("/{store}/search", {"query": "x" * 8193}, "invalid_request"),
    ("/{store}/search", {"query": ["x"] * 9}, "invalid_request"),
    ("/{store}/search", {"query": "x", "max_num_results": 51}, "invalid_request"),
    ("/{store}/search", {"query": "x", "max_num_results": 0}, "invalid_request"),
    ("/{store}/search", {"query": "x", "filters": {**EQ, "type": "like"}}, "invalid_request"),
    ("/{store}/search", {"query": "x", "filters": {**EQ, "value": [1]}}, "filter_invalid"),
    (
        "/{store}/search",
        {"query": "x", "ranking_options": {"score_threshold": 2}},
        "invalid_request",
    ),
]


@pytest.mark.parametrize(("path", "body", "code"), BAD)
async def test_bad_input_is_a_400(
    stack: KnowledgeStack, store: str, path: str, body: Any, code: str
) -> None:
    reply = await stack.gateway.admin.post(PATH + path.format(store=store), json=body)
    assert (reply.status, reply.code) == (400, code), reply.body


async def test_a_body_that_is_no_json_is_a_400(stack: KnowledgeStack, store: str) -> None:
    headers = {"Content-Type": "application/json"}
    for path in ("", f"/{store}", f"/{store}/files", f"/{store}/search", f"/{store}/file_batches"):
        reply = await stack.gateway.admin.post(PATH + path, data=b'{"query": ', headers=headers)
        assert (reply.status, reply.code) == (400, "invalid_json"), path


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "order=up", "before=vs-1", "after=vs-unknown"]
)
async def test_a_list_that_cannot_be_is_a_400(
    stack: KnowledgeStack, store: str, query: str
) -> None:
    for path in (PATH, f"{PATH}/{store}/files"):
        assert (await stack.gateway.admin.get(f"{path}?{query}")).status == 400, path
    assert (await stack.gateway.admin.get(f"{PATH}/{store}/files?filter=odd")).status == 400


async def test_a_name_that_is_none_is_a_400(stack: KnowledgeStack, store: str) -> None:
    for path in (
        "/v1/files/a%00b",
        "/v1/files/a%2Fb",
        "/v1/files?after=%00",
        f"{PATH}/{store}/files/%00",
        f"{PATH}/{store}/file_batches/a%20b",
        f"{PATH}?after=%00",
        f"{PATH}/VS-1",
        f"{PATH}/a%00b",
    ):
        assert (await stack.gateway.admin.get(path)).status in (400, 404), path


async def test_numbers_of_any_size_are_taken_or_refused(stack: KnowledgeStack, store: str) -> None:
    for number in (10**30, -(10**30), 1e308, 2**63, 2**53):
        test = {"query": "x", "filters": {**EQ, "value": number}}
        reply = await stack.gateway.admin.post(f"{PATH}/{store}/search", json=test)
        assert reply.status in (200, 400), (number, reply.body)
    made = await stack.gateway.admin.post(
        f"{PATH}/{store}/files", json={"file_id": "file-x", "attributes": {"k": 10**30}}
    )
    assert (made.status, made.code) == (404, "file_not_found")


async def test_unknown_names_are_404s(client: AsyncOpenAI, store: str) -> None:
    stores, files, batches = (
        client.vector_stores,
        client.vector_stores.files,
        client.vector_stores.file_batches,
    )
    of_no_store: tuple[Awaitable[Any], ...] = (
        stores.retrieve("vs-unknown"),
        stores.update("vs-unknown", name="x"),
        stores.delete("vs-unknown"),
        stores.search("vs-unknown", query="x"),
        files.list("vs-unknown"),
        files.create(vector_store_id="vs-unknown", file_id="file-x"),
        batches.create("vs-unknown", file_ids=["file-x"]),
    )
    for call in of_no_store:
        assert await refusal(call) == (404, "vector_store_not_found")
    of_no_file: tuple[Awaitable[Any], ...] = (
        files.retrieve("file-x", vector_store_id=store),
        files.update("file-x", vector_store_id=store, attributes={}),
        files.delete("file-x", vector_store_id=store),
        files.content("file-x", vector_store_id=store),
        files.retrieve("file-x", vector_store_id="vs-unknown"),
    )
    for call in of_no_file:
        assert await refusal(call) == (404, "vector_store_file_not_found")
    unattachable = files.create(vector_store_id=store, file_id="file-x")
    assert await refusal(unattachable) == (404, "file_not_found")
    for call in (
        batches.retrieve("vsfb_x", vector_store_id=store),
        batches.cancel("vsfb_x", vector_store_id=store),
        batches.list_files("vsfb_x", vector_store_id=store),
    ):
        assert await refusal(call) == (404, "file_batch_not_found")


async def test_another_tenant_reaches_nothing(
    stack: KnowledgeStack, client: AsyncOpenAI, store: str
) -> None:
    neighbour = await stack.client("neighbour/admin")
    (file,) = (await client.vector_stores.files.list(store)).data
    batch = await client.vector_stores.file_batches.create(store, file_ids=[file.id])
    stores, files = neighbour.vector_stores, neighbour.vector_stores.files
    assert (await stores.list()).data == []
    for call in (
        stores.retrieve(store),
        stores.update(store, name="mine"),
        stores.search(store, query="warranty"),
        stores.delete(store),
        files.list(store),
        files.create(vector_store_id=store, file_id=file.id),
        files.retrieve(file.id, vector_store_id=store),
        files.content(file.id, vector_store_id=store),
        files.delete(file.id, vector_store_id=store),
        stores.file_batches.retrieve(batch.id, vector_store_id=store),
        stores.file_batches.cancel(batch.id, vector_store_id=store),
    ):
        assert (await refusal(call))[0] == 404
    theirs = await stores.create(name="theirs")
    stolen = files.create(vector_store_id=theirs.id, file_id=file.id)
    assert await refusal(stolen) == (404, "file_not_found")
    await stack.settled()
    assert [hit.file_id for hit in (await client.vector_stores.search(store, query="two")).data]


async def test_keys_of_apps_read_and_search_but_change_nothing(
    stack: KnowledgeStack, store: str
) -> None:
    app = await stack.client("app")
    stores, files = app.vector_stores, app.vector_stores.files
    (file,) = (await files.list(store)).data
    assert (await stores.search(store, query="warranty")).data
    assert [part.text async for part in files.content(file.id, vector_store_id=store)]
    for call in (
        stores.create(name="x"),
        stores.update(store, name="x"),
        stores.delete(store),
        files.create(vector_store_id=store, file_id=file.id),
        files.update(file.id, vector_store_id=store, attributes={}),
        files.delete(file.id, vector_store_id=store),
        stores.file_batches.create(store, file_ids=[file.id]),
    ):
        assert await refusal(call) == (403, "missing_scope")


async def test_limits_on_stores_and_files_are_kept(tmp_path: Path) -> None:
    limits = {"max_stores": 1, "max_files": 1}
    async with knowledge_stack(tmp_path, vector_stores=limits) as stack:
        client = await stack.client()
        store = await client.vector_stores.create(name="only")
        assert await refusal(client.vector_stores.create()) == (409, "vector_stores_full")
        ids = [(await client.files.create(file=TEXT, purpose="assistants")).id for _ in range(2)]
        both = client.vector_stores.file_batches.create(store.id, file_ids=ids)
        assert await refusal(both) == (409, "vector_store_full")
        await client.vector_stores.files.create(vector_store_id=store.id, file_id=ids[0])
        second = client.vector_stores.files.create(vector_store_id=store.id, file_id=ids[1])
        assert await refusal(second) == (409, "vector_store_full")
        await client.vector_stores.files.create(vector_store_id=store.id, file_id=ids[0])
