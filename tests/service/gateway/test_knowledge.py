"""Documents and search through the gateway: every name arrives as it was sent."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from starlette.requests import ClientDisconnect

from services.chassis.errors import InvalidRequest, Overloaded, ServiceError
from tests.fakes.agent import eventually
from tests.fakes.retriever import passage
from tests.service.gateway.gateway import Client, GatewayUnderTest, gateway_under_test, segment

pytestmark = pytest.mark.anyio

DOCS = "/v1/collections/handbook/documents"
ODD_IDS = [
    "환불 규정.md",
    "a b+c&d=e?f#g",
    "100%",
    "%2F",
    "%41",
    "a:b@c;d,e",
    "..한글",
    "...",
    "café",
    "日本語",
    "🙂",
    "'\"<>",
    "~!$()*",
]


async def test_an_id_in_any_script_comes_through_unchanged(gateway: GatewayUnderTest) -> None:
    for name in ODD_IDS:
        path = f"{DOCS}/{segment(name)}"
        put = await gateway.admin.put(path, json={"text": "본문", "title": "제목"})
        assert (put.status, put.body["id"], put.body["outcome"]) == (200, name, "created")
        assert list(gateway.retriever.documents) == [("default", "handbook", name)]
        read = await gateway.application.get(path)
        assert (read.body["id"], read.body["text"], read.body["title"]) == (name, "본문", "제목")
        deleted = await gateway.admin.delete(path)
        assert (deleted.status, deleted.body["id"]) == (200, name)
        assert gateway.retriever.documents == {}


async def test_an_id_that_is_none_reaches_no_other_resource(gateway: GatewayUnderTest) -> None:
    await gateway.admin.put(f"{DOCS}/kept", json={"text": "kept"})
    before = len(gateway.retriever.calls)
    for written in ("..", ".", "%2e%2e", "%2E", "a%2Fb", "%00", "a%0Ab", "x" * 300):
        for method in ("GET", "DELETE"):
            refused = await gateway.admin.call(method, f"{DOCS}/{written}")
            assert refused.status in (400, 404), (method, written)
    assert len(gateway.retriever.calls) == before
    assert list(gateway.retriever.documents) == [("default", "handbook", "kept")]


async def test_the_retriever_hears_tenant_and_groups_from_the_key_only(
    gateway: GatewayUnderTest,
) -> None:
    forged = {"X-Inkstone-Tenant": "neighbour"}
    assert (await gateway.admin.get("/v1/collections", headers=forged)).status == 200
    call = gateway.retriever.calls[-1]
    assert (call.tenant, call.groups) == ("default", [])


async def test_a_search_is_passed_on_with_its_collection(gateway: GatewayUnderTest) -> None:
    gateway.retriever.passages = [passage("환불은 14일 안에 됩니다."), passage("Refunds.")]
    query = {
        "query": "환불은 언제까지?",
        "top_k": 1,
        "filter": {"type": "eq", "key": "lang", "value": "ko"},
    }
    found = await gateway.application.post("/v1/collections/handbook/search", json=query)
    assert found.status == 200
    assert [p["text"] for p in found.body["data"]] == ["환불은 14일 안에 됩니다."]
    sent = gateway.retriever.searches[-1]
    assert (sent.collections, sent.query, sent.top_k) == (["handbook"], "환불은 언제까지?", 1)
    assert sent.filter is not None


async def test_lists_pass_their_pages_through(gateway: GatewayUnderTest) -> None:
    for name in ("가", "나", "다"):
        await gateway.admin.put(f"{DOCS}/{segment(name)}", json={"text": "x"})
    first = (await gateway.application.get(f"{DOCS}?limit=2")).body
    assert ([d["id"] for d in first["data"]], first["has_more"]) == (["가", "나"], True)
    rest = (await gateway.application.get(f"{DOCS}?after={segment('나')}")).body
    assert ([d["id"] for d in rest["data"]], rest["has_more"]) == (["다"], False)
    collections = (await gateway.application.get("/v1/collections")).body
    assert [(c["id"], c["documents"]) for c in collections["data"]] == [("handbook", 3)]
    assert collections["has_more"] is False
    assert (await gateway.admin.delete("/v1/collections/handbook")).status == 200
    assert (await gateway.application.get("/v1/collections/handbook")).code == (
        "collection_not_found"
    )


async def test_readers_may_not_write(gateway: GatewayUnderTest) -> None:
    for method, path in (
        ("PUT", f"{DOCS}/x"),
        ("DELETE", f"{DOCS}/x"),
        ("DELETE", "/v1/collections/handbook"),
        ("POST", "/v1/collections/handbook/files"),
    ):
        refused = await gateway.application.call(method, path)
        assert (refused.status, refused.code) == (403, "missing_scope")
    assert gateway.retriever.calls == []


async def test_a_bulk_upload_comes_through_byte_by_byte(gateway: GatewayUnderTest) -> None:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("id_prefix", "규정/")
    form.add_field("files", "본문".encode(), filename="환불 규정.txt", content_type="text/plain")
    form.add_field("files", b"%PDF-1.7", filename="b.pdf", content_type="application/pdf")
    reply = await gateway.admin.post("/v1/collections/handbook/files", data=form)
    assert reply.status == 200
    assert [f["filename"] for f in reply.body["files"]] == ["환불 규정.txt", "b.pdf"]
    assert "본문".encode() in gateway.retriever.uploaded[0]


def large_form(size: int) -> tuple[bytes, dict[str, str]]:
    head = (
        b'--frontier\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n'
        b"Content-Type: text/plain\r\n\r\n"
    )
    body = head + b"x" * size + b"\r\n--frontier--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=frontier"}


async def in_pieces(body: bytes, *, until: int | None = None) -> AsyncIterator[bytes]:
    for start in range(0, until or len(body), 50_000):
        yield body[start : start + 50_000]
    if until is not None:
        raise ConnectionResetError("the caller hangs up")


async def test_an_upload_over_the_limit_is_a_413_declared_or_streamed(tmp_path: Path) -> None:
    async with gateway_under_test(tmp_path, max_upload_bytes=1_000_000) as gateway:
        body, headers = large_form(2_000_000)
        path = "/v1/collections/handbook/files"
        declared = await gateway.admin.post(path, data=io.BytesIO(body), headers=headers)
        assert (declared.status, declared.code) == (413, "payload_too_large")
        assert gateway.retriever.calls == []
        streamed = await gateway.admin.post(path, data=in_pieces(body), headers=headers)
        assert (streamed.status, streamed.code) == (413, "payload_too_large")
        await eventually(lambda: gateway.retriever.broken_uploads == 1)
        assert gateway.retriever.uploaded == []
        small, headers = large_form(900_000)
        whole = await gateway.admin.post(path, data=in_pieces(small), headers=headers)
        assert whole.status == 200


async def test_an_upload_that_breaks_off_is_never_whole_at_the_retriever(
    gateway: GatewayUnderTest,
) -> None:
    body, headers = large_form(1_000_000)
    path = "/v1/collections/handbook/files"
    with contextlib.suppress(aiohttp.ClientError):
        await gateway.admin.post(path, data=in_pieces(body, until=500_000), headers=headers)
    await eventually(lambda: gateway.retriever.broken_uploads == 1)
    assert gateway.retriever.uploaded == []
    assert (await gateway.admin.get("/v1/collections")).status == 200


async def test_a_caller_who_breaks_off_is_not_taken_for_a_failing_retriever(
    gateway: GatewayUnderTest,
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"--frontier\r\n"
        raise ClientDisconnect

    resources = gateway.resources
    caller = next(iter(resources.snapshot.callers.values()))
    kind = "multipart/form-data; boundary=frontier"
    with pytest.raises(InvalidRequest) as caught:
        await resources.retriever.upload(caller, "handbook", kind, broken())
    assert caught.value.code == "upload_aborted"


async def test_an_upload_that_is_no_form_is_a_400(gateway: GatewayUnderTest) -> None:
    refused = await gateway.admin.post("/v1/collections/handbook/files", json={"files": []})
    assert (refused.status, refused.code) == (400, "not_multipart")


async def test_a_refusal_of_the_retriever_is_passed_on_with_its_code(
    gateway: GatewayUnderTest,
) -> None:
    gateway.retriever.failure = Overloaded("Too many at once.", retry_after_seconds=7)
    refused = await gateway.application.get("/v1/collections")
    assert (refused.status, refused.code) == (429, "overloaded")
    assert refused.headers["retry-after"] == "7"
    body, headers = large_form(1000)
    path = "/v1/collections/handbook/files"
    uploaded = await gateway.admin.post(path, data=body, headers=headers)
    assert (uploaded.status, uploaded.code) == (429, "overloaded")


async def test_a_failure_of_the_retriever_is_a_502_without_its_text(
    gateway: GatewayUnderTest,
) -> None:
    gateway.retriever.failure = ServiceError("Traceback: the password is hunter2")
    refused = await gateway.application.get("/v1/collections")
    assert (refused.status, refused.code) == (502, "retriever_failed")
    assert "hunter2" not in refused.message


async def test_a_slow_retriever_is_a_504_and_an_absent_one_a_503(tmp_path: Path) -> None:
    async with gateway_under_test(tmp_path, retriever_timeout_seconds=0.2) as gateway:
        gateway.retriever.delay_seconds = 2.0
        slow = await gateway.application.get("/v1/collections")
        assert (slow.status, slow.code) == (504, "retriever_timeout")
    async with gateway_under_test(tmp_path, retriever_url="http://127.0.0.1:9") as gateway:
        absent = await gateway.application.get("/v1/collections")
        assert (absent.status, absent.code) == (503, "retriever_unreachable")


async def test_a_wrong_key_between_the_services_is_not_the_callers_fault(tmp_path: Path) -> None:
    async with gateway_under_test(tmp_path, retriever_api_key="another") as gateway:
        refused = await gateway.application.get("/v1/collections")
        assert (refused.status, refused.code) == (502, "retriever_failed")


async def test_a_malformed_request_never_reaches_the_retriever(gateway: GatewayUnderTest) -> None:
    malformed: list[tuple[str, str, Any]] = [
        ("PUT", f"{DOCS}/x", {"text": ""}),
        ("PUT", f"{DOCS}/x", {"text": "x", "odd": 1}),
        ("PUT", "/v1/collections/Bad/documents/x", {"text": "x"}),
        ("POST", "/v1/collections/handbook/search", {"query": ""}),
        ("POST", "/v1/collections/handbook/search", {"query": "x", "collections": ["other"]}),
        ("POST", "/v1/collections/handbook/search", {"query": "x", "filter": {"type": "like"}}),
        ("GET", f"{DOCS}?limit=0", None),
    ]
    for method, path, body in malformed:
        refused = await gateway.admin.call(method, path, json=body)
        assert refused.status == 400, (method, path, body)
    assert gateway.retriever.calls == []


async def test_many_callers_at_once_keep_their_own_tenant(gateway: GatewayUnderTest) -> None:
    async def put(client: Client, name: str) -> None:
        assert (await client.put(f"{DOCS}/{name}", json={"text": name})).status == 200

    await asyncio.gather(
        *(put(gateway.admin, f"a{n}") for n in range(20)),
        *(put(gateway.neighbour, f"b{n}") for n in range(20)),
    )
    owners = {name[0]: tenant for tenant, _, name in gateway.retriever.documents}
    assert owners == {"a": "default", "b": "neighbour"}
