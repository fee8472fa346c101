"""Messy and hostile files in one job: each fails alone, for its own reason, and says the mend."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from services.retriever.parsing.reading import read_file
from services.retriever.settings import MIB, Limits
from tests.fakes.office import archive, docx, pdf, xlsx
from tests.fakes.portable import korean_pdf
from tests.fakes.word import paragraph, word
from tests.fakes.workbook import rows, workbook
from tests.service.retriever.ingesting import ended, ingest, items
from tests.service.retriever.retriever import retriever_on

pytestmark = pytest.mark.anyio

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
LOCKED_OFFICE = OLE + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le")
LARGEST = MIB // 2

BAD: dict[str, tuple[bytes, str]] = {
    "locked.pdf": (korean_pdf([["x"]], locked=True), "file_encrypted"),
    "locked.docx": (LOCKED_OFFICE, "file_encrypted"),
    "locked.xlsx": (LOCKED_OFFICE, "file_encrypted"),
    "cut.pdf": (korean_pdf([["x"]])[:200], "file_unreadable"),
    "cut.docx": (docx(["x"])[:-60], "file_unreadable"),
    "cut.xlsx": (xlsx([["x"]])[:-60], "file_unreadable"),
    "entities.docx": (word(paragraph("x"), prolog="<!DOCTYPE x []>"), "file_unreadable"),
    "no pages.pdf": (korean_pdf([]), "file_unreadable"),
    "scan.pdf": (korean_pdf([[], []]), "file_no_text_layer"),
    "liar.pdf": (b"plain text", "file_unreadable"),
    "liar.xlsx": (b"plain text", "file_unreadable"),
    "empty.txt": (b"", "file_empty"),
    "blank.md": (b" \n\t\r\n", "file_empty"),
    "blank.docx": (docx([""]), "file_empty"),
    "noise.txt": (random.Random(1).randbytes(5000), "file_type_unsupported"),
    "noise.bin": (random.Random(2).randbytes(5000), "file_type_unsupported"),
    "old.doc": (OLE + b"\0" * 600, "file_type_unsupported"),
    "packed.zip": (archive({"a.txt": "x"}), "file_type_unsupported"),
    "bomb.docx": (archive({"word/document.xml": b"\0" * (5 * MIB)}), "file_too_large"),
    "bomb.xlsx": (archive({"xl/workbook.xml": b"\0" * (5 * MIB)}), "file_too_large"),
    "large.txt": (b"x " * LARGEST, "file_too_large"),
    "short.md": (b"---\ntitle: x\n---\n", "file_empty"),
}
GOOD: dict[str, bytes] = {
    "deep.json": b"[" * 100_000,
    "deep.html": b"<div>" * 20_000 + "<p>깊은 글</p>".encode(),
    "text.pdf": docx(["the content tells what it is"]),
    "표.xlsx": workbook({"표": rows(["품목", "값"], ["우산", 1.0])}),
    "good.pdf": pdf(["Hello"]),
    "안내.txt": "반품 안내입니다.".encode("cp949"),
}


async def test_every_bad_file_of_a_job_fails_alone_with_its_reason(tmp_path: Path) -> None:
    limits = Limits(max_file_bytes=LARGEST, max_unpacked_bytes=4 * MIB)
    files = [(name, content) for name, (content, _) in BAD.items()]
    mixed = [
        pair for bad, good in zip(files, [*GOOD.items()] * 9, strict=False) for pair in (bad, good)
    ]
    sent = [*dict(mixed).items()]
    async with retriever_on(tmp_path, limits=limits) as retriever:
        job = await ended(retriever.client, (await ingest(retriever.client, sent)).body["id"])
        assert (job["progress"]["created"], job["progress"]["failed"]) == (len(GOOD), len(BAD))
        failed = await items(retriever.client, job["id"], state="failed")
        assert {item["document_id"]: item["code"] for item in failed} == {
            name: code for name, (_, code) in BAD.items()
        }
        for item in failed:
            assert item["message"].endswith(".")
            assert any(mend in item["message"] for mend in ("send", "save", "split", "leave"))
        found = await retriever.client.search("우산 품목", mode="lexical")
        assert found.body["data"][0]["headings"] == ["표"]


async def test_a_passage_names_its_page_its_headings_and_its_exact_place(tmp_path: Path) -> None:
    filler = [f"{word}일 {word}월 {word}년 다음 줄의 말입니다." for word in "가나다라마바사"]
    pages = [["제1장 총칙", *filler], ["제2장 휴가", "연차는 십오일이다.", *filler]]
    content = korean_pdf(pages)
    text = read_file("규정.pdf", content, MIB).text
    async with retriever_on(tmp_path, chunk_tokens=40) as retriever:
        await retriever.client.upload([("규정.pdf", content)])
        found = (await retriever.client.search("연차 십오일", mode="lexical")).body["data"][0]
        assert (found["page"], found["headings"]) == (2, ["제2장 휴가"])
        assert found["text"] == text[found["span"]["start"] : found["span"]["end"]]
