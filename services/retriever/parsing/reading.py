"""A file's bytes to its text, kind by kind; runs in the parsing child."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath

import kreuzberg

from services.retriever.parsing.charsets import decode
from services.retriever.parsing.cleaning import clean, clean_title
from services.retriever.parsing.extraction import extract
from services.retriever.parsing.kinds import Kind, kind_of
from services.retriever.parsing.mail import read_mail
from services.retriever.parsing.outcomes import FileCode, Parsed, RefusedError
from services.retriever.parsing.pages import page_texts
from services.retriever.parsing.separated import separated_values
from services.retriever.parsing.sheets import read_sheets
from services.retriever.parsing.slides import read_slides
from services.retriever.parsing.structured import json_as_lines, json_lines
from services.retriever.parsing.web import read_web_page
from services.retriever.parsing.word import read_word

_PAGE_BREAK = "\n\n"

_FIRST_HEADING = re.compile(r"^#{1,2}[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
_HEADING_WITHIN = 4096
_FRONT_MATTER = re.compile(r"\A---\n((?:.*\n){0,200}?)---[ \t]*(?:\n|\Z)")
_MATTER_TITLE = re.compile(r"^title:[ \t]*(.+?)[ \t]*$", re.MULTILINE)

Pages = tuple[tuple[int, int], ...]
"""Page numbers, each with the character where it begins."""


def read_file(name: str, content: bytes, max_unpacked_bytes: int) -> Parsed:
    """Read a file.

    Raises:
        RefusedError: it gives no text.
    """
    kind = kind_of(name, content, max_unpacked_bytes)
    text, title, pages = _read(kind, content)
    if not text.strip():
        raise RefusedError(
            FileCode.EMPTY, "The file holds no text; send one that does, or leave it out."
        )
    stem = clean_title(PurePath(name).stem)
    return Parsed(text, clean_title(title) or _heading(kind, text) or stem, pages)


def _read(kind: Kind, content: bytes) -> tuple[str, str, Pages]:
    match kind:
        case Kind.TEXT:
            return clean(_text(content)), "", ()
        case Kind.MARKDOWN:
            return *_markdown(clean(_text(content))), ()
        case Kind.CSV | Kind.TSV:
            separator = "," if kind is Kind.CSV else "\t"
            return clean(separated_values(_text(content), separator)), "", ()
        case Kind.JSON:
            return clean(json_as_lines(_text(content))), "", ()
        case Kind.JSON_LINES:
            return clean(json_lines(_text(content))), "", ()
        case Kind.PDF:
            return _paged(content)
        case Kind.SLIDES:
            slides, title = read_slides(content)
            text, pages = _joined(slides)
            return text, title, pages
        case _:
            text, title = _read_whole(kind, content)
            return clean(text), title, ()


def _read_whole(kind: Kind, content: bytes) -> tuple[str, str]:
    if kind is Kind.HTML:
        return read_web_page(_text(content))
    read = {Kind.WORD: read_word, Kind.SHEET: read_sheets, Kind.MAIL: read_mail}[kind]
    return read(content)


def _text(content: bytes) -> str:
    text = decode(content)
    if text is None:
        raise RefusedError(FileCode.UNSUPPORTED, "The file is not text; send it in its own format.")
    return text


def _markdown(text: str) -> tuple[str, str]:
    """Take the title from the front matter, which is no part of the text."""
    matter = _FRONT_MATTER.match(text)
    if matter is None:
        return text, ""
    found = _MATTER_TITLE.search(matter.group(1))
    return text[matter.end() :].lstrip(), found.group(1).strip("\"'") if found else ""


def _paged(content: bytes) -> tuple[str, str, Pages]:
    found = extract(content, "application/pdf", pages=kreuzberg.PageConfig(extract_pages=True))
    pages = found.pages or []
    texts = page_texts([page["content"] for page in pages])
    numbers = [int(page["page_number"]) for page in pages]
    text, starts = _joined(zip(numbers, texts, strict=True))
    if not text:
        raise RefusedError(
            FileCode.NO_TEXT_LAYER,
            "The pages are pictures without a text layer; run OCR over the file and send that.",
        )
    return text, str((found.metadata or {}).get("title") or ""), starts


def _joined(pages: Iterable[tuple[int, str]]) -> tuple[str, Pages]:
    parts: list[str] = []
    starts: list[tuple[int, int]] = []
    length = 0
    for number, page in pages:
        if cleaned := clean(page):
            starts.append((number, length))
            parts.append(cleaned)
            length += len(cleaned) + len(_PAGE_BREAK)
    return _PAGE_BREAK.join(parts), tuple(starts)


def _heading(kind: Kind, text: str) -> str:
    if kind not in (Kind.MARKDOWN, Kind.HTML, Kind.WORD, Kind.SLIDES):
        return ""
    found = _FIRST_HEADING.search(text[:_HEADING_WITHIN])
    return clean_title(found.group(1)) if found else ""
