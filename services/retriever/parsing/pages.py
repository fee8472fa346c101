"""The text of a PDF's pages with its headings marked, and without the pages' numbers.

Headings are known by how they are numbered, in Korean and in English. That costs nothing, where
comparing the sizes of letters takes the parsing library ten times as long as the text itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

_LONGEST_HEADING = 80
_MOST_REPEATS = 2
"""A line that stands on more pages than these is a running title."""

_KOREAN_LEVELS = {"편": 2, "부": 2, "장": 2, "절": 3, "관": 4, "조": 5}
_KOREAN = re.compile(
    r"제\s?\d{1,4}\s?(편|부|장|절|관|조)(?:의\s?\d{1,2})?(?=[\s(\[（【<:.]|$)\s?(.*)"
)
_ARTICLE_NAME = re.compile(r"([(\[（【<][^()\[\]（）【】<>]{1,60}[)\]）】>])(?:\s+(.*)|$)")
_SENTENCE_GOES_ON = re.compile(
    r"(?:및|또는|내지|부터|까지|제\d|각\s?호|본문|단서|의|에|를|을|와|과)(?:\s|$)"
)
_KOREAN_END = re.compile(r"[.,;다]$")
_WORDED = re.compile(
    r"(?:(Chapter|CHAPTER|Part|PART)|(Article|ARTICLE|Appendix|APPENDIX|Annex|ANNEX|"
    r"Schedule|SCHEDULE|Item|ITEM|Note|NOTE)|(Section|SECTION))\s+"
    r"(?:\d{1,3}[A-Za-z]?|[IVXLC]{1,6}|[A-Z])(?:[.:]|\s[-–—])?(?:\s+(.*))?"
)
_DOTTED = re.compile(r"(\d{1,2}(?:\.\d{1,2}){1,3})\.?\s+([^\W\d_].*)")
_ROMAN = re.compile(r"[Ⅰ-Ⅻ]\s?\.?\s+([^\W\d_].*)")
_FILLED_TO_A_NUMBER = re.compile(r"(?:\.{3,}|[·…‥]{2,}|\s\.\s\.).*$|(?:^|\s)\d{1,4}$")
"""How a line of a table of contents ends."""

_PAGE_NUMBER = re.compile(r"[-–—\[(]?\s?\d{1,4}\s?(?:/\s?\d{1,4}\s?)?[-–—\])]?")
_LOOKS_LIKE_MARKUP = re.compile(r"(?=#{1,6}[ \t]|`{3}|~{3})")


def page_texts(pages: Sequence[str]) -> list[str]:
    """Mark up the headings of pages; a line that stands on many of them is none."""
    lines = [_without_number(page.splitlines()) for page in pages]
    seen = Counter(line for page in lines for line in {each.strip() for each in page})
    running = {line for line, times in seen.items() if times > _MOST_REPEATS}
    return ["\n".join(_marked(page, running)) for page in lines]


def _without_number(lines: list[str]) -> list[str]:
    """Drop the page's number, at its top or its bottom."""
    for edge in (0, -1):
        if len(lines) > 1 and _PAGE_NUMBER.fullmatch(lines[edge].strip()):
            del lines[edge]
    return lines


def _marked(lines: Sequence[str], running: set[str]) -> Iterator[str]:
    for line in map(str.strip, lines):
        heading = None if line in running else _heading(line)
        if heading is None:
            yield _LOOKS_LIKE_MARKUP.sub(r"\\", line)
            continue
        level, title, rest = heading
        yield f"\n{'#' * level} {title}\n"
        if rest:
            yield rest


def _heading(line: str) -> tuple[int, str, str] | None:
    """Tell a heading's level, its text, and what follows it on its line."""
    if found := _KOREAN.match(line):
        return _korean_heading(line, _KOREAN_LEVELS[found.group(1)], found.group(2))
    if len(line) > _LONGEST_HEADING:
        return None
    if found := _WORDED.fullmatch(line):
        rest = found.group(4) or ""
        level = 2 if found.group(1) else 4 if found.group(3) else 3
        return (level, line, "") if _is_name(rest) else None
    if found := _DOTTED.fullmatch(line):
        level = 2 + found.group(1).count(".")
        return (level, line, "") if _is_name(found.group(2)) else None
    if found := _ROMAN.fullmatch(line):
        return (2, line, "") if _is_name(found.group(1)) else None
    return None


def _korean_heading(line: str, level: int, rest: str) -> tuple[int, str, str] | None:
    """An article's name stands in brackets, and its text may follow on the same line."""
    if _FILLED_TO_A_NUMBER.search(rest):
        return None
    if named := _ARTICLE_NAME.match(rest):
        end = len(line) - len(rest) + named.end(1)
        return level, line[:end], (named.group(2) or "").strip()
    is_prose = _KOREAN_END.search(rest) or _SENTENCE_GOES_ON.match(rest)
    return None if is_prose or len(line) > _LONGEST_HEADING // 2 else (level, line, "")


def _is_name(rest: str) -> bool:
    """A heading's words begin large and end without a full stop; a sentence's go on."""
    if not rest:
        return True
    goes_on = rest[0].islower() or rest[-1] in ".,;:다"
    return not goes_on and not _FILLED_TO_A_NUMBER.search(rest)
