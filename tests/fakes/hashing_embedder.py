"""An embedding model without a model: texts that share words get near vectors."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from services.retriever.embedding import Kind, Vector
from services.retriever.lexical import tokens

DIMENSIONS = 64
_WORD = re.compile(r"\w+|[^\w\s]+")


def count_words(text: str) -> int:
    """Count words and signs, as a tokeniser's tokens."""
    return len(_WORD.findall(text))


@dataclass(slots=True)
class HashingEmbedder:
    """Deterministic in every process; notes what it was asked to embed."""

    fingerprint: str = "0123456789ab"
    name: str = "hashing"
    dimensions: int = DIMENSIONS
    max_tokens: int = 512
    salt: str = ""
    """Makes it another model: its vectors tell nothing to one with another salt."""
    delay_seconds: float = 0.0
    """How long it takes for anything but questions."""
    asked: list[str] = field(default_factory=list)
    """Every question."""
    embedded: list[str] = field(default_factory=list)
    """Every text that was not a question."""
    kinds: list[Kind] = field(default_factory=list)
    """What each call for many texts was for."""
    passages_may_go: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared, it holds up everything but questions."""
    free_texts: int = 0
    """Texts that are not held up all the same."""
    failure: Exception | None = None
    """Raised instead of embedding anything but questions."""
    poison: str | None = None
    """A text with this in it fails whatever it is embedded with."""
    passes: list[int] = field(default_factory=list)
    """How many texts came together, each time."""

    def __post_init__(self) -> None:
        self.passages_may_go.set()

    def count_tokens(self, text: str) -> int:
        """Count words and signs."""
        return count_words(text)

    async def question(self, text: str) -> Vector:
        """Embed one question."""
        self.asked.append(text)
        return _vector(text, self.salt)

    async def texts(self, texts: Sequence[str], kind: Kind) -> list[Vector]:
        """Embed many texts."""
        self.kinds.append(kind)
        if self.free_texts < len(texts):
            await self.passages_may_go.wait()
        self.free_texts -= len(texts)
        if self.failure is not None:
            raise self.failure
        if self.poison is not None and any(self.poison in text for text in texts):
            raise RuntimeError("a text that the model cannot take")
        self.embedded.extend(texts)
        self.passes.append(len(texts))
        await asyncio.sleep(self.delay_seconds)
        return [_vector(text, self.salt) for text in texts]


def another_model(delay_seconds: float = 0.0) -> HashingEmbedder:
    """A model whose vectors tell nothing to the usual one."""
    return HashingEmbedder("ba9876543210", "another", salt="x", delay_seconds=delay_seconds)


def _vector(text: str, salt: str) -> Vector:
    vector = np.zeros(DIMENSIONS, dtype=np.float32)
    for token in tokens(text):
        digest = hashlib.blake2b(f"{salt}{token}".encode(), digest_size=4).digest()
        vector[int.from_bytes(digest, "big") % DIMENSIONS] += 1
    if not vector.any():
        vector[0] = 1
    unit: Vector = vector / np.linalg.norm(vector)
    return unit
