"""What is stored beside a point's vectors, alike for every engine."""

from __future__ import annotations

from services.retriever.index.port import (
    CONTENT,
    DOCUMENT,
    FACTS,
    GROUPS,
    NUMBERS,
    REVISION,
    SCOPE,
    ChunkPoint,
)

DENSE, LEXICAL = "dense", "lexical"
"""The names of a point's two vectors."""

KEYWORDS = (DOCUMENT, GROUPS, FACTS)
"""The fields that are indexed for equality, beside scope and revision."""


def payload_of(point: ChunkPoint) -> dict[str, object]:
    """Lay out a point's payload."""
    return {
        SCOPE: point.scope,
        DOCUMENT: point.document,
        REVISION: point.revision,
        GROUPS: list(point.groups),
        FACTS: list(point.facts),
        NUMBERS: {key: list(values) for key, values in point.numbers.items()},
        CONTENT: dict(point.content),
    }
