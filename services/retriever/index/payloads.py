"""What is stored beside a point's vectors, alike for every engine."""

from __future__ import annotations

from typing import Any

from services.retriever.index.port import (
    CONTENT,
    DOCUMENT,
    FACTS,
    NUMBERS,
    READERS,
    REVISION,
    SCOPE,
    ChunkPoint,
    SparseVector,
)

DENSE, LEXICAL = "dense", "lexical"
"""The names of a point's two vectors."""

KEYWORDS = (DOCUMENT, READERS, FACTS)
"""The fields that are indexed for equality, beside scope and revision."""


def payload_of(point: ChunkPoint) -> dict[str, object]:
    """Lay out a point's payload."""
    return {
        SCOPE: point.scope,
        DOCUMENT: point.document,
        REVISION: point.revision,
        READERS: list(point.readers),
        FACTS: list(point.facts),
        NUMBERS: {key: list(values) for key, values in point.numbers.items()},
        CONTENT: dict(point.content),
    }


def point_of(id_: str, vector: Any, payload: Any) -> ChunkPoint:
    """Read a point back; the dense vector has the length 1 by now."""
    words = vector[LEXICAL]
    return ChunkPoint(
        id=id_,
        dense=vector[DENSE],
        lexical=SparseVector(tuple(words.indices), tuple(words.values)),
        scope=payload[SCOPE],
        document=payload[DOCUMENT],
        revision=payload[REVISION],
        readers=tuple(payload[READERS]),
        facts=tuple(payload[FACTS]),
        numbers=payload[NUMBERS],
        content=payload[CONTENT],
    )
