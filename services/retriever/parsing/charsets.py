"""Bytes to text when nothing says reliably how they were written."""

from __future__ import annotations

import codecs
import re
import unicodedata

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARED = re.compile(rb"""charset\s*=\s*["']?\s*([A-Za-z0-9_:.-]+)""", re.IGNORECASE)
_DECLARED_WITHIN = 2048
_SAMPLE = 256 * 1024
_TELLING = 64
"""Bytes from which statistics tell one Western charset from another."""

_PAIR = re.compile(rb"[\x80-\xff]{2}|[\x81-\x9f]")
_LEAST_HANGUL = 0.5
"""The share of Hangul among the letters beyond ASCII that makes a text Korean."""

_MOST_NOISE = 0.02
"""The share of control, private and unassigned characters that a text may have."""


def decode(content: bytes) -> str | None:
    """Decode a text; None when the bytes are no text."""
    for mark, name in _MARKS:
        if content.startswith(mark):
            return _strict(content, name)
    text = _strict(content, "utf-8")
    if text is not None:
        return text if _noise(text) <= _MOST_NOISE else None
    if b"\0" in content[:_SAMPLE]:
        return _wide(content)
    return _korean(content) or _declared(content) or _guessed(content)


def _strict(content: bytes, name: str) -> str | None:
    try:
        return content.decode(name)
    except (UnicodeDecodeError, LookupError):
        return None


def _wide(content: bytes) -> str | None:
    """Two bytes a character and no mark: the byte order that gives more usual characters."""
    even = content[: len(content) // 2 * 2]
    texts = [_strict(even, name) for name in ("utf-16-le", "utf-16-be")]
    best = max(filter(None, texts), key=_usual, default=None)
    return best if best is not None and _noise(best) <= _MOST_NOISE else None


def _usual(text: str) -> float:
    """Measure the share of plain letters, spaces, kana and Hangul, less that of odd characters."""
    sample = text[:_SAMPLE]
    plain = sum(
        " " <= char <= "~" or char in "\r\n\t" or "ぁ" <= char <= "ヿ" or _is_hangul(char)
        for char in sample
    )
    return plain / len(sample) - _noise(text)


def _is_hangul(char: str) -> bool:
    return "\uac00" <= char <= "\ud7a3"


def _korean(content: bytes) -> str | None:
    text = _strict(content, "cp949")
    if text is None:
        return None
    # Frames, bullets and circled numbers say nothing of the language.
    foreign = [char for char in text[:_SAMPLE] if ord(char) > 127 and char.isalpha()]
    hangul = sum(map(_is_hangul, foreign))
    return text if foreign and hangul / len(foreign) >= _LEAST_HANGUL else None


def _declared(content: bytes) -> str | None:
    """Believe what an HTML or XML head says when it fits: many say the wrong thing."""
    found = _DECLARED.search(content[:_DECLARED_WITHIN])
    if found is None:
        return None
    name = found.group(1).decode("ascii")
    if name.lower() in ("utf-8", "utf8", "iso-8859-1", "latin-1", "us-ascii"):
        return None
    text = _strict(content, name)
    return text if text is not None and _noise(text) <= _MOST_NOISE else None


def _guessed(content: bytes) -> str | None:
    import charset_normalizer

    is_short = len(content) < _TELLING and not _PAIR.search(content)
    best = None if is_short else charset_normalizer.from_bytes(content[:_SAMPLE]).best()
    names = [best.encoding] if best else []
    for name in (*names, "cp1252", "latin-1"):
        text = _strict(content, name)
        if text is not None and _noise(text) <= _MOST_NOISE:
            return text
    return None


def _noise(text: str) -> float:
    """Measure the share of characters that no written text has."""
    sample = text[:_SAMPLE]
    if not sample:
        return 0.0
    odd = sum(
        unicodedata.category(char) in ("Cc", "Co", "Cn") and char not in "\t\n\r\f\x1b"
        for char in sample
    )
    return odd / len(sample)
