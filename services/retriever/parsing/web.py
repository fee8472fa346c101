"""A web page as Markdown: what it says, without its machinery."""

from __future__ import annotations

import html
import re

from services.retriever.parsing.extraction import extract

_HEAD = re.compile(r"<head\b", re.IGNORECASE)
_HEAD_END = re.compile(r"</head\s*>", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]{0,1000}>([^<]{0,2000})", re.IGNORECASE)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]{0,20})\b[^<>]*>")
_WRAPPERS = frozenset(
    ("div", "section", "article", "main", "center", "font", "span", "body", "html", "b", "i")
)
_INLINE = frozenset(("font", "span", "b", "i", "a", "em", "strong", "u", "code", "small"))
_WITHOUT_END = frozenset(
    (
        *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param"),
        *("source", "track", "wbr", "p", "li", "td", "th", "tr", "dt", "dd", "option"),
    )
)
_DEEPEST = 40
"""Elements in elements from which the converter would drop what they hold; it does at 64."""

_CODE = re.compile(r"<(script|style|template)\b", re.IGNORECASE)
_PICTURE = re.compile(r"\\?!\[([^\]\n]{0,1000})\]\([^)\s]{0,2000}(?:\s{1,9}\"[^\"\n]{0,1000}\")?\)")
_LINK = re.compile(r"(?<!!)\[([^\]\n]{0,1000})\]\([^)\s]{0,2000}(?:\s{1,9}\"[^\"\n]{0,1000}\")?\)")
_BOLD = re.compile(r"\*\*(\S[^*\n]{0,1000}?)\*\*")
_PADDING = re.compile(r"(?<=\S) {2,}(?=\|)|(?<=\|) {2,}|-{4,}(?= \|)")
_DRAWING = "SVG Image"


def read_web_page(page: str) -> tuple[str, str]:
    """Convert a page's body; what its head says about it is no part of its text.

    Returns:
        Its text and its title, which may be empty.

    Raises:
        RefusedError: it cannot be converted.
    """
    found = _TITLE.search(page)
    title = html.unescape(" ".join(found.group(1).split())) if found else ""
    body = _without_head(page)
    if _depth(body) > _DEEPEST:
        body = _flat(body, _WRAPPERS)
    if _depth(body) > _DEEPEST:
        body = _flat(_without_code(body), None)
    cleaning = {"preprocessing": {"enabled": True, "preset": "aggressive"}}
    converted = extract(
        body.encode("utf-8", "replace"),
        "text/html",
        output_format="markdown",
        html_options=cleaning,
    )
    return _readable(converted.content), title


def _without_head(page: str) -> str:
    begins = _HEAD.search(page)
    ends = _HEAD_END.search(page, begins.end()) if begins else None
    return page if begins is None or ends is None else page[: begins.start()] + page[ends.end() :]


def _without_code(page: str) -> str:
    parts = []
    at = 0
    while (begins := _CODE.search(page, at)) is not None:
        parts.append(page[at : begins.start()])
        ends = page.find(f"</{begins.group(1)}", begins.end())
        at = len(page) if ends < 0 else ends
    return "".join((*parts, page[at:]))


def _depth(page: str) -> int:
    """Count how many elements are open at once, at most; those that close themselves left out."""
    deepest = depth = 0
    for tag in _TAG.finditer(page):
        if tag.group(2).lower() not in _WITHOUT_END:
            depth = max(depth - 1, 0) if tag.group(1) else depth + 1
            deepest = max(deepest, depth)
    return deepest


def _flat(page: str, which: frozenset[str] | None) -> str:
    """Make line breaks of tags that only wrap, or of all when `which` is None."""

    def broken(tag: re.Match[str]) -> str:
        name = tag.group(2).lower()
        if which is not None and name not in which:
            return tag.group(0)
        return "" if name in _INLINE else "<br>"

    return _TAG.sub(broken, page)


def _readable(markdown: str) -> str:
    """Keep what a link or picture says, whose address only disturbs the search."""
    bare = _LINK.sub(r"\1", _PICTURE.sub(r"\1", markdown))
    lines = (
        _PADDING.sub(lambda run: "---" if run.group(0)[0] == "-" else " ", line)
        if line.startswith("|")
        else line
        for line in _BOLD.sub(r"\1", bare).splitlines()
    )
    return "\n".join(line for line in lines if line.strip() != _DRAWING)
