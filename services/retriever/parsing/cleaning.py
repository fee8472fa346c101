"""What every text is freed of, whatever file it came from."""

from __future__ import annotations

import re
import unicodedata

LONGEST_TITLE = 512

_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u00ad\u200b\u2060\ufeff\ufffe\uffff]")
"""Control characters, soft hyphens and spaces without width, which would cut words in two."""

_SPACES = re.compile(r"[\u00a0\u2007\u202f]")
# Begins where a run of spaces does, lest each of them is a new try.
_LINE_ENDS = re.compile(r"(?<![ \t])[ \t]+$", re.MULTILINE)
_MANY_LINES = re.compile(r"\n{3,}")
_SURROGATES = re.compile(r"[\ud800-\udfff]")
_NO_TITLE = re.compile(
    r"(?:untitled|unknown|anonymous|document|제목 ?없음|제목 없는 문서|powerpoint 프레젠테이션|"
    r"powerpoint presentation|슬라이드 ?1|slide ?1|문서 ?\d*|presentation|워크시트|sheet ?1|"
    r"\(?unspecified\)?|\(?anonymous\)?)\d*",
    re.IGNORECASE,
)
_PROGRAM = re.compile(r"^microsoft (?:word|powerpoint|excel) - ", re.IGNORECASE)


def clean(text: str) -> str:
    """Unify line ends, spaces and the form of letters; drop what cannot be seen."""
    unified = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n\n")
    seen = _SURROGATES.sub("\ufffd", _SPACES.sub(" ", _UNSEEN.sub("", unified)))
    composed = unicodedata.normalize("NFC", seen)
    return _MANY_LINES.sub("\n\n", _LINE_ENDS.sub("", composed)).strip()


def clean_title(title: str) -> str:
    """Write a title on one line; empty when it says nothing."""
    line = " ".join(clean(title).split())
    line = _PROGRAM.sub("", line)
    return "" if _NO_TITLE.fullmatch(line) else line[:LONGEST_TITLE]
