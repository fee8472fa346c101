"""What a file is: by its content first, by its name where the content does not tell."""

from __future__ import annotations

import io
import re
import zipfile
from enum import StrEnum
from pathlib import PurePath

from services.retriever.parsing.extraction import locked
from services.retriever.parsing.outcomes import FileCode, RefusedError


class Kind(StrEnum):
    """A kind of file that can be read."""

    TEXT = "txt"
    MARKDOWN = "md"
    HTML = "html"
    CSV = "csv"
    TSV = "tsv"
    JSON = "json"
    JSON_LINES = "jsonl"
    MAIL = "eml"
    PDF = "pdf"
    WORD = "docx"
    SLIDES = "pptx"
    SHEET = "xlsx"


_BY_SUFFIX = {
    "": Kind.TEXT,
    ".txt": Kind.TEXT,
    ".text": Kind.TEXT,
    ".rst": Kind.TEXT,
    ".md": Kind.MARKDOWN,
    ".markdown": Kind.MARKDOWN,
    ".html": Kind.HTML,
    ".htm": Kind.HTML,
    ".xhtml": Kind.HTML,
    ".csv": Kind.CSV,
    ".tsv": Kind.TSV,
    ".json": Kind.JSON,
    ".jsonl": Kind.JSON_LINES,
    ".ndjson": Kind.JSON_LINES,
    ".eml": Kind.MAIL,
    ".pdf": Kind.PDF,
    **dict.fromkeys((".docx", ".docm"), Kind.WORD),
    **dict.fromkeys((".pptx", ".pptm", ".ppsx"), Kind.SLIDES),
    **dict.fromkeys((".xlsx", ".xlsm"), Kind.SHEET),
}
_BY_PART = {
    "word/document.xml": Kind.WORD,
    "ppt/presentation.xml": Kind.SLIDES,
    "xl/workbook.xml": Kind.SHEET,
}
_PACKED = frozenset({Kind.PDF, *_BY_PART.values()})
_SUPPORTED = "md, txt, html, pdf, docx, pptx, xlsx, csv, tsv, json, jsonl and eml"

_PDF_MARK = b"%PDF-"
_PDF_MARK_WITHIN = 1024
_ZIP_MARK = b"PK\x03\x04"
_OLE_MARK = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLE_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_OLE_HANGUL = b"HWP Document File"
_WEB_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|table|meta)\b", re.IGNORECASE)
"""Many programs write a web page where a sheet is asked for, and name it so."""

_WEB_PAGE_WITHIN = 1024
_ZIP_ENCRYPTED = 0x1
_MOST_PARTS = 20_000


def kind_of(name: str, content: bytes, max_unpacked_bytes: int) -> Kind:
    """Tell what a file is.

    Raises:
        RefusedError: it is of no kind that can be read, locked, or unpacks to too much.
    """
    if not content.strip(b"\0 \t\r\n"):
        raise RefusedError(FileCode.EMPTY, "The file is empty; send one with text.")
    suffix = PurePath(name).suffix.lower()
    if _PDF_MARK in content[:_PDF_MARK_WITHIN]:
        return Kind.PDF
    if content.startswith(_ZIP_MARK):
        return _office_kind(content, max_unpacked_bytes)
    if content.startswith(_OLE_MARK):
        raise _ole_refusal(content)
    kind = _BY_SUFFIX.get(suffix)
    if kind in (None, *_PACKED) and _WEB_PAGE.match(content[:_WEB_PAGE_WITHIN]):
        return Kind.HTML
    if kind is None:
        raise RefusedError(
            FileCode.UNSUPPORTED, f"Files of type {suffix!r} are not read; send {_SUPPORTED}."
        )
    if kind in _PACKED:
        raise RefusedError(
            FileCode.UNREADABLE,
            f"The file is named {suffix} and is none; save it again and send that.",
        )
    return kind


def _office_kind(content: bytes, max_unpacked_bytes: int) -> Kind:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise RefusedError(
            FileCode.UNREADABLE, "The file is damaged or cut off; save it again and send that."
        ) from error
    if any(part.flag_bits & _ZIP_ENCRYPTED for part in parts):
        raise locked()
    if sum(part.file_size for part in parts) > max_unpacked_bytes or len(parts) > _MOST_PARTS:
        raise RefusedError(
            FileCode.TOO_LARGE,
            f"The file unpacks to more than {max_unpacked_bytes} bytes; split it.",
        )
    for part in parts:
        if part.filename in _BY_PART:
            return _BY_PART[part.filename]
    raise RefusedError(
        FileCode.UNSUPPORTED, f"Archives are not read; send the files in it, {_SUPPORTED}."
    )


def _ole_refusal(content: bytes) -> RefusedError:
    if _OLE_ENCRYPTED in content:
        return locked()
    if _OLE_HANGUL in content:
        return RefusedError(
            FileCode.UNSUPPORTED,
            "HWP files are not read; save the file as PDF or docx, and send that.",
        )
    return RefusedError(
        FileCode.UNSUPPORTED,
        "Office files of before 2007 are not read; save it as docx, xlsx or pptx, and send that.",
    )
