"""The form that carries one file to the retriever."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.datastructures import UploadFile
from starlette.requests import Request

from services.gateway.knowledge.multipart import FileForm

pytestmark = pytest.mark.anyio


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 7):
        yield content[start : start + 7]


async def read(form: FileForm) -> tuple[dict[str, str], str, bytes]:
    """Read a form back as a server does."""
    body = b"".join([piece async for piece in form.body()])

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", form.content_type.encode())]
    async with Request({"type": "http", "headers": headers}, receive).form() as given:
        file = given["files"]
        assert isinstance(file, UploadFile)
        fields = {name: value for name, value in given.items() if isinstance(value, str)}
        return fields, file.filename or "", await file.read()


@pytest.mark.parametrize(
    "name", ["환불 규정.md", 'quo"ted.txt', "a;b=c.txt", "100%.txt", "日本語🙂.txt", "a'b.txt"]
)
async def test_names_fields_and_bytes_arrive_as_they_were(name: str) -> None:
    content = "본문\r\n--x\r\n".encode() * 10
    fields = {"document_id": "file-1", "metadata": '{"lang": "한국어"}'}
    assert await read(FileForm(fields, name, pieces(content))) == (fields, name, content)


async def test_an_empty_file_is_a_file() -> None:
    assert await read(FileForm({}, "a.txt", pieces(b""))) == ({}, "a.txt", b"")
