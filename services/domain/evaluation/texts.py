"""Words, sentences and numbers of a text, in Korean and in English."""

from __future__ import annotations

import re
import unicodedata

import regex

from services.domain.citations import find_markers

_MONEY = re.compile(r"(?<!\w)-[$€£¥₩](?=\.?\d)")
_COUNTING = (
    # The sign of a number, and its point; those of `2024.05.01` part numbers as hyphens would.
    r"(?<!\w)-(?=\.?\d)",
    r"(?<![\w.])\.(?=\d)",
    r"(?<=\d)(?<!\d\.\d+)\.(?=\d)(?!\d+\.\d)",
    # What tells `C++` from `C#`, 18 from `18+` and `A` from `A-`.
    r"(?<=[0-9a-z])[+#]{1,2}(?![+#0-9a-z])",
    r"(?<=[0-9a-z][+#])[+#](?![+#0-9a-z])",
    r"(?<=(?<!\w)[a-z])-(?![0-9a-z-])",
)
"""Signs that a text is compared with, as they stand in it."""
_SPACE_AND_SIGNS = regex.compile(rf"(?:(?!{'|'.join(_COUNTING)})[\W_])+")
_PUNCTUATION = " .,!?:;…。、\"'`*“”‘’"
_TOKEN = re.compile(r"[0-9]+(?:[.,][0-9]+)*|[가-힣]|[\u3040-\u30ff\u4e00-\u9fff]|[^\W0-9_가-힣]+")
_SENTENCE_END = re.compile(r"(?<=[.!?。…])(?:\s?\[[0-9,\s]{1,32}\])*(?=\s|$)|\n+")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|approx|No|Dr|Mr|Ms|Mrs|St)|\b[A-Z])\.$")
_ORDINAL = re.compile(r"^\s*\(?\d{1,3}[.)]$")
_NUMBER = re.compile(
    r"(?<![\w.])(?P<sign>[-−]?)(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
)
_KOREAN_NUMBER = re.compile(
    r"(?<![\w.])(?P<sign>[-−]?)(?P<parts>(?:\d[\d,]*(?:\.\d+)?\s?(?:[십백천만억조]+)\s?)+"
    r"(?:\d[\d,]*(?:\.\d+)?(?![\d.]))?)"
)
_PART = re.compile(r"(\d[\d,]*(?:\.\d+)?)\s?([십백천만억조]*)")
_SMALL = {"십": 10, "백": 100, "천": 1000}
_LARGE = {"만": 10**4, "억": 10**8, "조": 10**12}


def without_markers(text: str) -> str:
    """Take the citation markers out of a checked text."""
    for marker in reversed(find_markers(text)):
        text = text[: marker.start].rstrip(" ") + text[marker.end :]
    return text


def folded(text: str) -> str:
    """Bring a text to one case, one width, and single spaces; signs stay."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def normalised(text: str) -> str:
    """Reduce a text to its words and numbers: no markers, one case, one width, single spaces.

    The sign and the point of a number stay. A text that has no words is its signs.
    """
    return worded(text) or trimmed(text) or folded(text)


def worded(text: str) -> str:
    """Reduce a text to its words and numbers; empty when it has none."""
    words: str = _SPACE_AND_SIGNS.sub(" ", _MONEY.sub("-", _unmarked(text)))
    return words.strip()


def trimmed(text: str) -> str:
    """Fold a text without its markers and the punctuation around it; other signs stay."""
    whole = _unmarked(text)
    return whole.strip(_PUNCTUATION) or whole


def _unmarked(text: str) -> str:
    return folded(without_markers(text)).replace("−", "-")


def tokens(text: str) -> list[str]:
    """Cut a text for comparison: words and numbers; Hangul by the syllable.

    Korean particles and endings stand without a space, so that whole words of two right answers
    seldom agree while most of their syllables do.
    """
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())


def sentences(text: str) -> list[str]:
    """Cut a text into sentences, each with the citation markers behind it."""
    found, start = [], 0
    for match in _SENTENCE_END.finditer(text):
        bare = text[start : match.start()].strip()
        if _ABBREVIATION.search(bare) or _ORDINAL.match(bare):
            continue
        found.append(text[start : match.end()])
        start = match.end()
    found.append(text[start:])
    return [bare for piece in found if tokens(bare := piece.strip())]


def numbers(text: str) -> list[float]:
    """Read the numbers of a text; `3만 5천` is 35,000 and `1,250.5` is 1,250.5."""
    values = [_korean(match) for match in _KOREAN_NUMBER.finditer(text)]
    rest = _KOREAN_NUMBER.sub(" ", text)
    for match in _NUMBER.finditer(rest):
        value = float(match["digits"].replace(",", ""))
        values.append(-value if match["sign"] else value)
    return values


def _korean(match: re.Match[str]) -> float:
    """Add up `2억 3천만 5백`: small units multiply within a group, large ones close it."""
    total = group = 0.0
    for digits, units in _PART.findall(match["parts"]):
        value = float(digits.replace(",", ""))
        for unit in units:
            if unit in _SMALL:
                value *= _SMALL[unit]
            else:
                total += (group + value) * _LARGE[unit]
                group = value = 0.0
        group += value
    total += group
    return -total if match["sign"] else total
