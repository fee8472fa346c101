"""A file's bytes to its text, kind by kind; runs in the parsing child."""

from __future__ import annotations

import html
import json
import re
import unicodedata
from pathlib import PurePath
from typing import Any

import kreuzberg

from services.retriever.parsing.charsets import decode
from services.retriever.parsing.kinds import Kind, kind_of
from services.retriever.parsing.outcomes import FileCode, Parsed, RefusedError
from services.retriever.parsing.slides import slides_text
from services.retriever.parsing.tables import rows_as_lines, separated_values

_OFFICE = "application/vnd.openxmlformats-officedocument."
_MIME = {
    Kind.PDF: "application/pdf",
    Kind.WORD: _OFFICE + "wordprocessingml.document",
    Kind.SLIDES: _OFFICE + "presentationml.presentation",
    Kind.SHEET: _OFFICE + "spreadsheetml.sheet",
    Kind.HTML: "text/html",
}
_PAGE_BREAK = "\n\n"

_HTML_HEAD = re.compile(r"<head\b.*?</head\s*>", re.IGNORECASE | re.DOTALL)
_HTML_TITLE = re.compile(r"<title[^>]*>(.*?)</title\s*>", re.IGNORECASE | re.DOTALL)
_PICTURE = re.compile(r"\\?!\[([^\]]*)\]\([^)\s]*(?:\s+\"[^\"]*\")?\)")
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\([^)\s]*(?:\s+\"[^\"]*\")?\)")
_FIRST_HEADING = re.compile(r"^#{1,2}[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
_HEADING_WITHIN = 4096
_FRONT_MATTER = re.compile(r"\A---\n((?:.*\n){0,200}?)---[ \t]*(?:\n|\Z)")
_MATTER_TITLE = re.compile(r"^title:[ \t]*(.+?)[ \t]*$", re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff]")
_MANY_LINES = re.compile(r"\n{3,}")
_LONGEST_TITLE = 512


def read_file(name: str, content: bytes, max_unpacked_bytes: int) -> Parsed:
    """Read a file.

    Raises:
        RefusedError: it gives no text.
    """
    kind = kind_of(name, content, max_unpacked_bytes)
    text, title, pages = _read(kind, content)
    if not text.strip():
        raise RefusedError(
            FileCode.EMPTY,
            "The file holds no text; pictures of text need OCR before they are sent.",
        )
    title = title or _heading(kind, text) or PurePath(name).stem
    return Parsed(text, _one_line(title)[:_LONGEST_TITLE], pages)


def _read(kind: Kind, content: bytes) -> tuple[str, str, tuple[tuple[int, int], ...]]:
    match kind:
        case Kind.TEXT:
            return _clean(_text(content)), "", ()
        case Kind.MARKDOWN:
            return _markdown(_clean(_text(content)))
        case Kind.CSV | Kind.TSV:
            separator = "," if kind is Kind.CSV else "\t"
            return _clean(separated_values(_text(content), separator)), "", ()
        case Kind.JSON:
            return _clean(_readable_json(_text(content))), "", ()
        case Kind.HTML:
            return _web_page(_text(content))
        case Kind.PDF:
            return _paged(content)
        case Kind.SHEET:
            return _sheet(content), "", ()
        case Kind.SLIDES:
            return _slides(content), "", ()
        case Kind.WORD:
            found = _extract(content, kind, output_format="markdown")
            return _clean(_without_links(found.content)), _title(found), ()


def _text(content: bytes) -> str:
    text = decode(content)
    if text is None:
        raise RefusedError(FileCode.UNSUPPORTED, "The file is not text; send it in its own format.")
    return text


def _markdown(text: str) -> tuple[str, str, tuple[tuple[int, int], ...]]:
    """Take the title from the front matter, which is no part of the text."""
    matter = _FRONT_MATTER.match(text)
    if matter is None:
        return text, "", ()
    found = _MATTER_TITLE.search(matter.group(1))
    return text[matter.end() :].lstrip(), found.group(1).strip("\"'") if found else "", ()


def _web_page(text: str) -> tuple[str, str, tuple[tuple[int, int], ...]]:
    """Convert a page's body; what its head says about it is no part of its text."""
    found = _HTML_TITLE.search(text)
    title = re.sub(r"\s+", " ", found.group(1)).strip() if found else ""
    body = _HTML_HEAD.sub("", text).encode()
    cleaning = {"preprocessing": {"enabled": True, "preset": "aggressive"}}
    page = _extract(body, Kind.HTML, output_format="markdown", html_options=cleaning)
    return _clean(_without_links(page.content)), html.unescape(title), ()


def _paged(content: bytes) -> tuple[str, str, tuple[tuple[int, int], ...]]:
    found = _extract(content, Kind.PDF, pages=kreuzberg.PageConfig(extract_pages=True))
    text, pages = "", []
    for page in found.pages or []:
        cleaned = _clean(page["content"])
        if not cleaned:
            continue
        text += _PAGE_BREAK if text else ""
        pages.append((int(page["page_number"]), len(text)))
        text += cleaned
    return text, _title(found), tuple(pages)


def _sheet(content: bytes) -> str:
    found = _extract(content, Kind.SHEET, output_format="markdown")
    tables = [rows_as_lines(table.cells) for table in found.tables or []]
    return _clean("\n\n".join(table for table in tables if table) or found.content)


def _slides(content: bytes) -> str:
    try:
        found = _extract(content, Kind.SLIDES, output_format="markdown")
    except RefusedError:
        return _clean(slides_text(content))
    return _clean(_without_links(found.content))


def _extract(content: bytes, kind: Kind, **options: Any) -> Any:
    chosen = {"use_cache": False, "disable_ocr": True, **options}
    try:
        return kreuzberg.extract_bytes_sync(
            content, _MIME[kind], kreuzberg.ExtractionConfig(**chosen)
        )
    except kreuzberg.KreuzbergError as error:
        if "password" in str(error).lower():
            raise RefusedError(
                FileCode.ENCRYPTED, "The file is locked with a password; send it without one."
            ) from error
        raise RefusedError(
            FileCode.UNREADABLE, "The file is damaged or cut off; save it again and send that."
        ) from error


def _readable_json(text: str) -> str:
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=1)
    except (ValueError, RecursionError):
        return text


def _without_links(markdown: str) -> str:
    """Keep what a link or picture says; its address only disturbs the search."""
    return _LINK.sub(r"\1", _PICTURE.sub(r"\1", markdown))


def _clean(text: str) -> str:
    unified = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n\n")
    composed = unicodedata.normalize("NFC", _CONTROL.sub("", unified))
    return _MANY_LINES.sub("\n\n", composed).strip()


def _heading(kind: Kind, text: str) -> str:
    if kind not in (Kind.MARKDOWN, Kind.HTML, Kind.WORD):
        return ""
    found = _FIRST_HEADING.search(text[:_HEADING_WITHIN])
    return found.group(1) if found else ""


def _title(found: Any) -> str:
    return str((found.metadata or {}).get("title") or "")


def _one_line(title: str) -> str:
    return re.sub(r"\s+", " ", _CONTROL.sub("", title)).strip()
