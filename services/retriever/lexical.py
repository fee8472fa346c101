"""Words to sparse vectors: one tokeniser for questions and passages, in every script.

Words of alphabets are lower-cased; numbers and codes (`E-1042`, `v2.3`) are kept whole and in
parts; Hangul, Han and Kana become pairs of neighbouring characters, because Korean particles are
glued to their nouns and Chinese and Japanese have no spaces.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

import mmh3

from services.retriever import korean
from services.retriever.function_words import FUNCTION_WORDS
from services.retriever.index.port import SparseVector

K1 = 1.2
"""How soon repeating a word stops to count."""

B = 0.75
"""How much a long passage is discounted."""

PARTICLE_WEIGHT = 0.25
"""What a pair of characters counts that reaches into a Korean particle; a whole one counts 1.

Measured over three Korean sets: +0.010 nDCG@10 for the ranking by words (95 % interval +0.003 to
+0.019), no difference for both rankings together.
"""

AVERAGE_LENGTH = 150
"""The length, in tokens, of a passage that is neither discounted nor favoured."""

_CJK = "\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_RUN = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}]+(?:[-._/@:+#][^\W_{_CJK}]+)*")
_ASCII_RUN = re.compile(r"[a-z0-9]+(?:[-._/@:+#][a-z0-9]+)*")
"""What `_RUN` finds in a text without other letters, in half the time."""

_PART = re.compile(r"[^\W\d_]+|\d+")
_IS_CJK = re.compile(f"[{_CJK}]")


def tokens(text: str) -> list[str]:
    """Split a text into the tokens that lexical search compares."""
    normal = unicodedata.normalize("NFKC", text).casefold()
    found: list[str] = []
    for run in (_ASCII_RUN if normal.isascii() else _RUN).findall(normal):
        if run.isalpha() and run.isascii():
            found.append(run)
        else:
            found.extend(_pairs(run) if _IS_CJK.match(run) else _whole_and_parts(run))
    return found


def _pairs(run: str) -> list[str]:
    return [run] if len(run) == 1 else [run[at : at + 2] for at in range(len(run) - 1)]


def _whole_and_parts(run: str) -> list[str]:
    parts: list[str] = _PART.findall(run)
    return [run] if len(parts) <= 1 else [run, *parts]


def passage_vector(text: str) -> SparseVector:
    """Weigh a passage's tokens by BM25's term part; the engine adds the rarity of each word."""
    counts = Counter(mmh3.hash(token, signed=False) for token in tokens(text))
    length = sum(counts.values())
    discount = K1 * (1 - B + B * length / AVERAGE_LENGTH)
    return SparseVector(
        tuple(counts), tuple(n * (K1 + 1) / (n + discount) for n in counts.values())
    )


def question_weights(question: str) -> dict[str, float]:
    """Weigh each different token of a question, leaving out words that are in every question.

    A question of such words only keeps them.
    """
    asked = dict.fromkeys(tokens(question))
    telling = [token for token in asked if token not in FUNCTION_WORDS] or list(asked)
    subjects = set(tokens(korean.bare(unicodedata.normalize("NFKC", question))))
    return {token: 1.0 if token in subjects else PARTICLE_WEIGHT for token in telling}


def question_vector(text: str) -> SparseVector:
    """Weigh a question's tokens."""
    weights = {
        mmh3.hash(word, signed=False): value for word, value in question_weights(text).items()
    }
    return SparseVector(tuple(weights), tuple(weights.values()))
