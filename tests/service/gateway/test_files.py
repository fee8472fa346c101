"""`/v1/files` with the official client: bytes come back exactly, and only to their tenant."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openai import AsyncOpenAI
from openai.types import FileDeleted, FileObject
from sqlalchemy import update

from services.gateway.registry import tables
from tests.service.gateway.gateway import GatewayUnderTest, gateway_under_test
from tests.service.gateway.knowledge_stack import refusal, strict

pytestmark = pytest.mark.anyio

PATH = "/v1/files"


@pytest.fixture
async def client(gateway: GatewayUnderTest) -> AsyncIterator[AsyncOpenAI]:
    async with official(gateway) as opened:
        yield opened


def official(gateway: GatewayUnderTest, key: str = "admin") -> AsyncOpenAI:
    url = f"{gateway.base_url}/v1"
    return AsyncOpenAI(base_url=url, api_key=gateway.secrets[key], max_retries=0)


def stored(gateway: GatewayUnderTest) -> list[str]:
    folder = gateway.settings.data_dir / "artifacts" / "files"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


async def test_a_files_bytes_come_back_exactly(client: AsyncOpenAI) -> None:
    content = os.urandom(3_000_000) + "\r\n한글\r\n--boundary--".encode()
    for name in ("훈련 자료.jsonl", "a b+c&d'.bin", "x" * 255, "日本語🙂.txt", 'quo"ted.txt'):
        made = strict(
            FileObject, await client.files.create(file=(name, content), purpose="fine-tune")
        )
        assert (made.filename, made.bytes, made.purpose) == (name, len(content), "fine-tune")
        assert strict(FileObject, await client.files.retrieve(made.id)) == made
        read = await client.files.content(made.id)
        assert read.read() == content


async def test_lists_go_by_age_page_and_purpose(client: AsyncOpenAI) -> None:
    purposes: list[Any] = ["assistants", "batch", "assistants", "user_data", "vision"]
    made = [
        (await client.files.create(file=(f"{n}.txt", b"x"), purpose=purpose)).id
        for n, purpose in enumerate(purposes)
    ]
    listed = [file.id async for file in client.files.list(limit=2)]
    assert sorted(listed) == sorted(made)
    oldest_first = [file.id async for file in client.files.list(order="asc")]
    assert oldest_first == list(reversed(listed))
    of_purpose = (await client.files.list(purpose="assistants")).data
    assert sorted(file.id for file in of_purpose) == sorted([made[0], made[2]])


async def test_a_deleted_file_is_gone_with_its_bytes(
    gateway: GatewayUnderTest, client: AsyncOpenAI
) -> None:
    file = await client.files.create(file=("a.txt", b"x"), purpose="user_data")
    assert stored(gateway) == [file.id]
    assert strict(FileDeleted, await client.files.delete(file.id)).deleted
    assert stored(gateway) == []
    for call in (client.files.retrieve(file.id), client.files.content(file.id)):
        assert await refusal(call) == (404, "file_not_found")
    assert await refusal(client.files.delete(file.id)) == (404, "file_not_found")


async def test_another_tenants_files_do_not_exist(
    gateway: GatewayUnderTest, client: AsyncOpenAI
) -> None:
    file = await client.files.create(file=("a.txt", b"x"), purpose="user_data")
    async with official(gateway, "neighbour/admin") as neighbour:
        for call in (
            neighbour.files.retrieve(file.id),
            neighbour.files.content(file.id),
            neighbour.files.delete(file.id),
        ):
            assert await refusal(call) == (404, "file_not_found")
        assert (await neighbour.files.list()).data == []
        after = neighbour.files.list(after=file.id)
        assert (await refusal(after))[0] == 400
    assert (await client.files.retrieve(file.id)).id == file.id


async def test_a_file_that_expired_is_gone(gateway: GatewayUnderTest, client: AsyncOpenAI) -> None:
    expiry: Any = {"anchor": "created_at", "seconds": 3600}
    file = await client.files.create(
        file=("a.txt", b"x"), purpose="user_data", expires_after=expiry
    )
    assert strict(FileObject, file).expires_at == file.created_at + 3600
    await set_row(gateway, file.id, expires_at=file.created_at - 1)
    assert await refusal(client.files.retrieve(file.id)) == (404, "file_not_found")
    await gateway.resources.knowledge.files.sweep()
    assert stored(gateway) == []


async def test_what_a_dead_upload_left_is_swept(
    gateway: GatewayUnderTest, client: AsyncOpenAI
) -> None:
    kept = await client.files.create(file=("kept.txt", b"x"), purpose="user_data")
    left = await client.files.create(file=("left.txt", b"x"), purpose="user_data")
    await set_row(gateway, left.id, state="receiving")
    await gateway.resources.knowledge.files.sweep()
    assert len(stored(gateway)) == 2
    await set_row(gateway, left.id, created_at=left.created_at - 4000)
    await gateway.resources.knowledge.files.sweep()
    assert stored(gateway) == [kept.id]
    assert [file.id for file in (await client.files.list()).data] == [kept.id]


async def set_row(gateway: GatewayUnderTest, file_id: str, **values: Any) -> None:
    async with gateway.resources.registry.database.write() as connection:
        table = tables.files
        await connection.execute(update(table).where(table.c.id == file_id).values(values))


async def test_files_over_their_limits_are_refused(tmp_path: Path) -> None:
    files = {"max_bytes": 1000, "max_tenant_bytes": 2500}
    async with gateway_under_test(tmp_path, files=files) as gateway, official(gateway) as client:
        for size, code in ((1001, "payload_too_large"), (500_000, "payload_too_large")):
            large = client.files.create(file=("a.txt", b"x" * size), purpose="user_data")
            assert await refusal(large) == (413, code)
        first = await client.files.create(file=("a.txt", b"x" * 1000), purpose="user_data")
        await client.files.create(file=("b.txt", b"x" * 1000), purpose="user_data")
        third = client.files.create(file=("c.txt", b"x" * 1000), purpose="user_data")
        assert await refusal(third) == (409, "file_space_full")
        async with official(gateway, "neighbour/admin") as neighbour:
            await neighbour.files.create(file=("c.txt", b"x" * 1000), purpose="user_data")
        await client.files.delete(first.id)
        await client.files.create(file=("c.txt", b"x" * 1000), purpose="user_data")
        assert len(stored(gateway)) == 3


def form(*fields: tuple[str, Any], filename: str = "a.txt") -> aiohttp.FormData:
    made = aiohttp.FormData(quote_fields=False)
    for name, value in fields:
        if name == "file":
            made.add_field("file", value, filename=filename, content_type="text/plain")
        else:
            made.add_field(name, value)
    return made


PURPOSE = ("purpose", "assistants")
FILE = ("file", b"x")
ANCHOR, SECONDS = "expires_after[anchor]", "expires_after[seconds]"
BAD: dict[str, tuple[tuple[tuple[str, Any], ...], str, str]] = {
    "no file": ((PURPOSE,), "a.txt", "not_multipart"),
    "no purpose": ((FILE,), "a.txt", "invalid_request"),
    "an odd purpose": ((FILE, ("purpose", "evil")), "a.txt", "invalid_request"),
    "an empty file": ((("file", b""), PURPOSE), "a.txt", "file_empty"),
    "a long name": ((FILE, PURPOSE), "x" * 256, "file_name_invalid"),
    "a folder's name": ((FILE, PURPOSE), "folder/", "file_name_invalid"),
    "two files": ((FILE, FILE, PURPOSE), "a.txt", "invalid_request"),
    "an odd field": ((FILE, PURPOSE, ("more", "x")), "a.txt", "invalid_request"),
    "no anchor": ((FILE, PURPOSE, (SECONDS, "3600")), "a.txt", "invalid_request"),
    "an odd anchor": (
        (FILE, PURPOSE, (ANCHOR, "now"), (SECONDS, "3600")),
        "a.txt",
        "invalid_request",
    ),
    "too soon": (
        (FILE, PURPOSE, (ANCHOR, "created_at"), (SECONDS, "9")),
        "a.txt",
        "invalid_request",
    ),
}


@pytest.mark.parametrize("case", BAD)
async def test_an_upload_that_is_wrong_is_a_400(gateway: GatewayUnderTest, case: str) -> None:
    fields, filename, code = BAD[case]
    reply = await gateway.admin.post(PATH, data=form(*fields, filename=filename))
    assert (reply.status, reply.code) == (400, code)
    assert stored(gateway) == []


async def test_an_upload_that_is_no_form_is_a_400(gateway: GatewayUnderTest) -> None:
    reply = await gateway.admin.post(PATH, json={"purpose": "assistants"})
    assert (reply.status, reply.code) == (400, "not_multipart")


async def test_a_name_with_a_control_character_is_refused(gateway: GatewayUnderTest) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a\x01b"\r\n\r\nx\r\n--x--'
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    reply = await gateway.admin.post(PATH, data=body, headers=headers)
    assert (reply.status, reply.code) == (400, "file_name_invalid")


@pytest.mark.parametrize(
    "body", [b"", b"--x", b"--x\r\nContent-Disposition: nonsense\r\n\r\n", b"\xff" * 100]
)
async def test_a_broken_form_is_a_400(gateway: GatewayUnderTest, body: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert (await gateway.admin.post(PATH, data=body, headers=headers)).status == 400
    headers = {"Content-Type": "multipart/form-data"}
    assert (await gateway.admin.post(PATH, data=body, headers=headers)).status == 400


async def test_folders_before_a_name_are_dropped(gateway: GatewayUnderTest) -> None:
    for sent in ("../../etc/규정.md", "C:\\docs\\규정.md"):
        reply = await gateway.admin.post(PATH, data=form(FILE, PURPOSE, filename=sent))
        assert (reply.status, reply.body["filename"]) == (200, "규정.md")


async def test_keys_of_apps_see_no_files(gateway: GatewayUnderTest) -> None:
    for method, path in (
        ("GET", PATH),
        ("POST", PATH),
        ("GET", f"{PATH}/x"),
        ("DELETE", f"{PATH}/x"),
    ):
        refused = await gateway.application.call(method, path)
        assert (refused.status, refused.code) == (403, "missing_scope")


async def test_many_uploads_at_once_keep_their_own_bytes(client: AsyncOpenAI) -> None:
    async def round_trip(n: int) -> bool:
        content = f"내용 {n}".encode() * 1000
        file = await client.files.create(file=(f"{n}.txt", content), purpose="batch")
        return (await client.files.content(file.id)).read() == content

    assert all(await asyncio.gather(*(round_trip(n) for n in range(16))))
