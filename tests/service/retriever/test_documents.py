"""Documents and collections over HTTP."""

from __future__ import annotations

import unicodedata

import pytest

from tests.service.retriever.retriever import Client, RetrieverUnderTest

pytestmark = pytest.mark.anyio


async def test_a_document_can_be_read_back(client: Client) -> None:
    written = await client.put(
        "반품 정책.md",
        "# 반품\n\n14일 이내에 가능합니다.",
        title="반품",
        uri="https://example.com/반품",
        metadata={"언어": "ko", "tags": ["a", "b"]},
        allowed_groups=["상담"],
    )
    assert written.status == 200
    assert written.body["outcome"] == "created"
    read = await client.call("GET", "/collections/docs/documents/반품 정책.md")
    assert read.body["text"] == "# 반품\n\n14일 이내에 가능합니다."
    assert read.body["metadata"] == {"언어": "ko", "tags": ["a", "b"]}
    assert read.body["allowed_groups"] == ["상담"]
    del written.body["outcome"]
    assert {key: read.body[key] for key in written.body} == written.body


async def test_the_same_document_again_changes_nothing(retriever: RetrieverUnderTest) -> None:
    client = retriever.client
    first = await client.put("a", "apple pie", metadata={"x": 1, "y": 2})
    embedded = len(retriever.embedder.embedded)
    again = await client.put("a", "apple pie", metadata={"y": 2, "x": 1})
    assert again.body["outcome"] == "unchanged"
    assert again.body["updated_at"] == first.body["updated_at"]
    assert len(retriever.embedder.embedded) == embedded
    assert len((await client.search("apple")).passages) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"text": "apple cake"},
        {"title": "Cakes"},
        {"uri": "https://example.com"},
        {"metadata": {"x": 1}},
        {"allowed_groups": ["staff"]},
    ],
)
async def test_any_change_replaces_the_document(client: Client, change: dict[str, object]) -> None:
    await client.put("a", "apple pie")
    changed = await client.put("a", **{"text": "apple pie", **change})  # type: ignore[arg-type]
    assert changed.body["outcome"] == "replaced"
    found = await client.in_groups("staff").search("apple")
    assert len(found.passages) == 1


async def test_a_replaced_document_is_found_by_its_new_words_only(client: Client) -> None:
    await client.put("a", "apple")
    await client.put("b", "pear")
    await client.put("a", "quince")
    assert (await client.search("apple", mode="lexical")).passages == []
    assert (await client.search("quince", mode="lexical")).passages == ["quince"]


async def test_a_deleted_document_is_gone_at_once(client: Client) -> None:
    await client.put("a", "apple")
    deleted = await client.call("DELETE", "/collections/docs/documents/a")
    assert deleted.body == {"id": "a", "object": "collection.document", "deleted": True}
    assert (await client.search("apple")).passages == []
    assert (await client.call("GET", "/collections/docs/documents/a")).code == "document_not_found"
    again = await client.call("DELETE", "/collections/docs/documents/a")
    assert (again.status, again.code) == (404, "document_not_found")


async def test_documents_are_listed_by_id_page_by_page(client: Client) -> None:
    ids = ["나", "a", "c", "b", "가"]
    for name in ids:
        await client.put(name, f"text of {name}")
    seen: list[str] = []
    params: dict[str, str] = {"limit": "2"}
    while True:
        page = (await client.call("GET", "/collections/docs/documents", **params)).body
        seen += [document["id"] for document in page["data"]]
        assert page["last_id"] == seen[-1]
        if not page["has_more"]:
            break
        params["after"] = page["last_id"]
    assert seen == ["a", "b", "c", "가", "나"]


async def test_a_collection_comes_with_its_first_document_and_goes_whole(client: Client) -> None:
    assert (await client.call("GET", "/collections")).body["data"] == []
    assert (await client.call("GET", "/collections/docs")).code == "collection_not_found"
    assert (await client.call("DELETE", "/collections/docs")).code == "collection_not_found"
    assert (await client.call("GET", "/collections/docs/documents")).code == "collection_not_found"
    await client.put("a", "apple")
    await client.put("b", "pear")
    (collection,) = (await client.call("GET", "/collections")).body["data"]
    assert (collection["documents"], collection["chunks"]) == (2, 2)
    assert (await client.call("GET", "/collections/docs")).body == collection
    deleted = await client.call("DELETE", "/collections/docs")
    assert deleted.body == {"id": "docs", "object": "collection", "deleted": True}
    assert (await client.search("apple")).code == "collection_not_found"
    await client.put("c", "apple again")
    assert (await client.search("apple")).passages == ["apple again"]


async def test_a_refused_document_leaves_no_collection_behind(client: Client) -> None:
    assert (await client.put("a", " \n\0 ")).code == "document_empty"
    assert (await client.call("GET", "/collections")).body["data"] == []


async def test_tenants_share_nothing(client: Client) -> None:
    rival = client.neighbour
    await client.put("a", "apple of acme")
    await rival.put("a", "apple of rival")
    assert (await client.search("apple")).passages == ["apple of acme"]
    assert (await rival.search("apple")).passages == ["apple of rival"]
    await rival.call("DELETE", "/collections/docs")
    assert (await client.search("apple")).passages == ["apple of acme"]
    assert (await rival.call("GET", "/collections")).body["data"] == []


async def test_a_tenant_named_like_a_path_is_another_tenant(client: Client) -> None:
    deeper = client.acting_for(f"{client.tenant}/b")
    await deeper.put("d", "apple", collection="c")
    assert (await client.call("GET", "/collections")).body["data"] == []
    assert (await deeper.search("apple", "c")).passages == ["apple"]


async def test_an_id_typed_and_one_from_a_mac_are_the_same(client: Client) -> None:
    composed, decomposed = "가나.md", unicodedata.normalize("NFD", "가나.md")
    assert composed != decomposed
    await client.put(decomposed, "apple")
    assert (await client.put(composed, "apple")).body["outcome"] == "unchanged"
    read = await client.call("GET", f"/collections/docs/documents/{decomposed}")
    assert read.body["id"] == composed


async def test_every_change_moves_the_corpus_revision_of_its_tenant(client: Client) -> None:
    await client.neighbour.put("x", "pear")
    await client.put("a", "apple")
    first = (await client.search("apple")).body["corpus_revision"]
    await client.put("a", "apple")
    assert (await client.search("apple")).body["corpus_revision"] == first
    await client.put("a", "apple pie")
    second = (await client.search("apple")).body["corpus_revision"]
    await client.put("b", "pear")
    await client.call("DELETE", "/collections/docs/documents/b")
    assert first < second < (await client.search("apple")).body["corpus_revision"]
    assert (await client.neighbour.search("pear")).body["corpus_revision"] == 1


async def test_only_the_holder_of_the_key_is_answered(client: Client) -> None:
    stranger = Client(client.session, client.url, api_key="guess")
    for method, path in (
        ("GET", "/collections"),
        ("GET", "/collections/docs"),
        ("DELETE", "/collections/docs"),
        ("GET", "/collections/docs/documents"),
        ("GET", "/collections/docs/documents/a"),
        ("PUT", "/collections/docs/documents/a"),
        ("DELETE", "/collections/docs/documents/a"),
        ("POST", "/collections/docs/files"),
        ("POST", "/search"),
        ("POST", "/embeddings"),
    ):
        reply = await stranger.call(method, path, {"text": "x"} if method == "PUT" else None)
        assert (reply.status, reply.code) in ((401, "invalid_api_key"), (400, "invalid_request"))
        assert "data" not in reply.body


async def test_a_request_must_name_its_tenant(client: Client) -> None:
    reply = await client.acting_for("").call("GET", "/collections")
    assert (reply.status, reply.code) == (400, "tenant_missing")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/collections/Docs/documents/a", {"text": "x"}),
        ("/collections/docs/documents/a", {"text": ""}),
        ("/collections/docs/documents/a", {"text": "x", "surprise": 1}),
        ("/collections/docs/documents/a", {"text": "x", "metadata": {"a": {"b": 1}}}),
        ("/collections/docs/documents/a", {}),
        ("/collections/docs/documents/%00", {"text": "x"}),
    ],
)
async def test_a_malformed_write_is_refused(client: Client, path: str, body: object) -> None:
    reply = await client.call("PUT", path, body)
    assert (reply.status, reply.body["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    "metadata",
    ['{"k": 1e999}', '{"k": NaN}', '{"k": [-Infinity]}', '{"\\ud800": 1}', '{"k": "\\ud800"}'],
)
async def test_metadata_that_json_cannot_carry_back_is_refused(
    client: Client, metadata: str
) -> None:
    async with client.session.put(
        f"{client.url}/collections/docs/documents/a",
        data=f'{{"text": "apple", "metadata": {metadata}}}',
        headers={**client.headers, "Content-Type": "application/json"},
    ) as reply:
        assert reply.status == 400
    assert (await client.call("GET", "/collections")).body["data"] == []


async def test_health_and_metrics_need_no_key(retriever: RetrieverUnderTest) -> None:
    client = retriever.client
    await client.put("a", "apple")
    for path in ("/healthz", "/readyz", "/metrics"):
        async with client.session.get(client.url + path) as reply:
            assert reply.status == 200
    assert await client.metric('inkstone_documents_total{outcome="created"}') == 1
    assert await client.metric("inkstone_chunks_total") == 1


async def test_a_collection_can_be_made_before_its_first_document(client: Client) -> None:
    made = await client.call("PUT", "/collections/empty-one")
    assert (made.status, made.body["documents"]) == (200, 0)
    await client.put("a", "apple", collection="empty-one")
    again = await client.call("PUT", "/collections/empty-one")
    assert (again.body["documents"], again.body["created_at"]) == (1, made.body["created_at"])
    await client.call("PUT", "/collections/still-empty")
    assert (await client.search("apple", "still-empty")).passages == []


async def test_the_embedding_model_describes_itself(client: Client) -> None:
    told = await client.call("GET", "/embeddings/model")
    assert told.body == {"model": "hashing", "dimensions": 64, "fingerprint": "0123456789ab"}
