"""Chunk points for the tests of the index, small enough to reckon by hand."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence

from services.retriever import filters, lexical
from services.retriever.index.port import (
    AllOf,
    ChunkPoint,
    Condition,
    IndexQuery,
)

DIMENSIONS = 4


def direction(degrees: float) -> list[float]:
    """A unit vector in the plane of the first two axes; the cosine of two is easy to tell."""
    radians = math.radians(degrees)
    return [math.cos(radians), math.sin(radians), 0.0, 0.0]


def point(
    text: str,
    *,
    degrees: float = 0,
    tenant: str = "acme",
    collection: str = "docs",
    document: str = "d",
    revision: int = 1,
    groups: Sequence[str] = (),
    metadata: filters.Metadata | None = None,
    content: Mapping[str, object] | None = None,
) -> ChunkPoint:
    """Make a point; only what a test is about needs to be said."""
    return ChunkPoint(
        id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{tenant}/{collection}/{revision}/{text}")),
        dense=direction(degrees),
        lexical=lexical.passage_vector(text),
        scope=filters.scope_of(tenant, collection),
        document=document,
        revision=revision,
        readers=filters.stored_readers(tenant, collection, groups),
        facts=filters.stored_facts(metadata or {}),
        numbers=filters.stored_numbers(metadata or {}),
        content={"text": text, **(content or {})},
    )


def question(
    text: str,
    *,
    degrees: float = 0,
    tenant: str = "acme",
    collections: Sequence[str] = ("docs",),
    groups: Sequence[str] = (),
    where: Condition | None = None,
    mode: str = "hybrid",
    limit: int = 10,
    prefetch: int = 50,
    min_similarity: float | None = None,
    with_vectors: bool = False,
) -> IndexQuery:
    """Make a search as the searcher makes it."""
    seen = filters.readers_condition(tenant, collections, groups)
    conditions = [seen, *([where] if where else [])]
    return IndexQuery(
        where=AllOf(tuple(conditions)),
        scopes=filters.scopes(tenant, collections),
        dense=direction(degrees),
        lexical=lexical.question_vector(text),
        by_meaning=mode != "lexical",
        by_words=mode != "dense",
        limit=limit,
        prefetch=prefetch,
        min_similarity=min_similarity,
        with_vectors=with_vectors,
    )
