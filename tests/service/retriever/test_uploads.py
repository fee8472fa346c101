"""Files over HTTP, through the real parsing child."""

from __future__ import annotations

import io
import unicodedata
import zipfile

import pytest

from tests.service.retriever.retriever import Client

pytestmark = pytest.mark.anyio


async def test_files_become_documents_named_after_them(client: Client) -> None:
    reply = await client.upload(
        [
            ("반품 안내.md", "# 반품 안내\n\n14일 이내에 반품할 수 있습니다.".encode()),
            ("notes.txt", b"The warranty lasts two years."),
        ]
    )
    assert reply.status == 200
    assert reply.body["failed"] == 0
    assert [(f["document_id"], f["outcome"], f["chunks"]) for f in reply.body["files"]] == [
        ("반품 안내.md", "created", 1),
        ("notes.txt", "created", 1),
    ]
    found = await client.search("반품 14일", mode="lexical")
    assert found.body["data"][0]["title"] == "반품 안내"
    assert found.body["data"][0]["document_id"] == "반품 안내.md"


async def test_the_same_file_again_changes_nothing(client: Client) -> None:
    files = [("a.txt", b"apple"), ("b.txt", b"pear")]
    await client.upload(files)
    again = await client.upload([files[0], ("b.txt", b"pear tree")])
    assert [file["outcome"] for file in again.body["files"]] == ["unchanged", "replaced"]


async def test_a_prefix_goes_before_every_id(client: Client) -> None:
    reply = await client.upload([("a.txt", b"apple")], id_prefix="2024: ")
    assert reply.body["files"][0]["document_id"] == "2024: a.txt"


async def test_a_bad_file_fails_alone(client: Client) -> None:
    reply = await client.upload(
        [
            ("empty.txt", b"  \n"),
            ("good.txt", b"apple"),
            ("broken.pdf", b"%PDF-1.7\nnothing else"),
            ("liar.docx", b"plain text"),
            ("program.exe", b"MZ\x90\x00"),
            ("noise.txt", bytes(range(256)) * 8),
        ]
    )
    assert reply.body["failed"] == 5
    assert [file["code"] for file in reply.body["files"]] == [
        "file_empty",
        None,
        "file_unreadable",
        "file_unreadable",
        "file_type_unsupported",
        "file_type_unsupported",
    ]
    for file in reply.body["files"]:
        assert file["outcome"] == "created" or file["message"].endswith(".")
    documents = (await client.call("GET", "/collections/docs/documents")).body["data"]
    assert [document["id"] for document in documents] == ["good.txt"]


async def test_folders_are_dropped_and_repeated_names_refused(client: Client) -> None:
    reply = await client.upload([("x/a.txt", b"apple"), ("y\\a.txt", b"pear")])
    assert [(f["document_id"], f["code"]) for f in reply.body["files"]] == [
        ("a.txt", None),
        ("a.txt", "file_name_repeated"),
    ]
    assert (await client.search("apple")).passages == ["apple"]


async def test_a_name_that_cannot_be_an_id_is_refused(client: Client) -> None:
    reply = await client.upload([("x" * 300 + ".txt", b"apple")])
    assert reply.body["files"][0]["code"] == "file_name_invalid"


async def test_a_macs_file_name_is_composed(client: Client) -> None:
    reply = await client.upload([(unicodedata.normalize("NFD", "가나.txt"), b"apple")])
    assert reply.body["files"][0]["document_id"] == "가나.txt"
    assert (await client.call("GET", "/collections/docs/documents/가나.txt")).status == 200


async def test_a_zip_bomb_is_refused(client: Client) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("word/document.xml", "w", force_zip64=True) as part:
            for _ in range(600):
                part.write(b"\0" * (1 << 20))
    assert len(bomb.getvalue()) < 1 << 20
    reply = await client.upload([("bomb.docx", bomb.getvalue()), ("good.txt", b"apple")])
    assert [file["code"] for file in reply.body["files"]] == ["file_too_large", None]


async def test_an_upload_without_files_is_refused(client: Client) -> None:
    reply = await client.upload([], id_prefix="x")
    assert (reply.status, reply.code) == (400, "files_missing")
    assert (await client.call("GET", "/collections")).body["data"] == []


async def test_too_many_files_are_refused_whole(client: Client) -> None:
    reply = await client.upload([(f"{n}.txt", b"apple") for n in range(65)])
    assert reply.status == 400
    assert (await client.call("GET", "/collections")).body["data"] == []


async def test_a_single_file_may_bring_its_id_and_metadata(client: Client) -> None:
    reply = await client.upload(
        [("요금 안내.md", "기본 요금은 1,000원입니다.".encode())],
        document_id="file-1",
        metadata='{"lang": "ko", "year": 2024}',
    )
    assert [f["document_id"] for f in reply.body["files"]] == ["file-1"]
    test = {"type": "gte", "key": "year", "value": 2024}
    (found,) = (await client.search("기본 요금", filter=test)).body["data"]
    assert (found["document_id"], found["title"]) == ("file-1", "요금 안내")
    assert found["metadata"] == {"lang": "ko", "year": 2024}


async def test_an_id_for_two_files_and_metadata_that_is_none_are_refused(client: Client) -> None:
    files = [("a.txt", b"apple"), ("b.txt", b"pear")]
    assert (await client.upload(files, document_id="both")).status == 400
    for metadata in ("[1]", "{", '{"a": {"b": 1}}'):
        assert (await client.upload(files, metadata=metadata)).status == 400
