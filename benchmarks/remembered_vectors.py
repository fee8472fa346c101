"""An embedder that remembers passages in a file, so that a benchmark embeds a set once."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from services.retriever.embedding import Embedder, Kind, Vector


class RememberingEmbedder:
    """The embedder it is given, but a passage that was embedded before is read from the file."""

    def __init__(self, embedder: Embedder, known: sqlite3.Connection) -> None:
        self._embedder = embedder
        self._known = known
        self.name = embedder.name
        self.fingerprint = embedder.fingerprint
        self.dimensions = embedder.dimensions
        self.max_tokens = embedder.max_tokens

    def count_tokens(self, text: str) -> int:
        """Count a text's tokens."""
        return self._embedder.count_tokens(text)

    async def question(self, text: str) -> Vector:
        """Embed one question; questions are always computed, because they are timed."""
        return await self._embedder.question(text)

    async def texts(self, texts: Sequence[str], kind: Kind) -> list[Vector]:
        """Embed texts that are not known yet."""
        keys = [self._key(kind, text) for text in texts]
        vectors = {key: vector for key in keys if (vector := self._read(key)) is not None}
        unknown = {key: text for key, text in zip(keys, texts, strict=True) if key not in vectors}
        made = await self._embedder.texts(list(unknown.values()), kind) if unknown else []
        for key, fresh in zip(unknown, made, strict=True):
            vectors[key] = fresh
            row = (key, fresh.astype(np.float32).tobytes())
            self._known.execute("INSERT OR REPLACE INTO vectors VALUES (?, ?)", row)
        self._known.commit()
        return [vectors[key] for key in keys]

    def _key(self, kind: Kind, text: str) -> bytes:
        return hashlib.sha256(f"{self.fingerprint}\0{kind}\0{text}".encode()).digest()

    def _read(self, key: bytes) -> Vector | None:
        row = self._known.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()
        return None if row is None else np.frombuffer(row[0], dtype=np.float32)


@contextmanager
def remembering(embedder: Embedder, file: Path) -> Iterator[RememberingEmbedder]:
    """Remember in a file, which is made when it is not there."""
    known = sqlite3.connect(file)
    try:
        known.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB)")
        yield RememberingEmbedder(embedder, known)
    finally:
        known.close()
