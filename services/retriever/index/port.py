"""What the retriever asks of a vector index, in types of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from services.retriever.fusion import Weights

SCOPE, DOCUMENT, REVISION, READERS, FACTS = "scope", "document", "revision", "readers", "facts"
"""The payload fields that every engine indexes at creation."""

NUMBERS = "numbers"
"""The payload field with the numbers and times that ranges compare, by hashed key."""

CONTENT = "content"
"""The payload field that comes back with a hit as it was stored."""


@dataclass(frozen=True, slots=True)
class AnyOf:
    """The field holds at least one of the values."""

    field: str
    values: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class InRange:
    """A number of the field lies between the bounds that are given."""

    field: str
    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every condition holds."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class OneOf:
    """At least one condition holds."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class NoneOf:
    """No condition holds."""

    conditions: tuple[Condition, ...]


Condition = AnyOf | InRange | AllOf | OneOf | NoneOf


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Token ids and their weights."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ChunkPoint:
    """One chunk of one revision of a document, as the index holds it."""

    id: str
    """A UUID made from revision and place, so that writing twice stores once."""
    dense: Sequence[float]
    lexical: SparseVector
    scope: str
    document: str
    revision: int
    readers: tuple[str, ...]
    """Who may find it, each with the scope: one condition then tells what a caller may see."""
    facts: tuple[str, ...]
    numbers: Mapping[str, Sequence[float]]
    content: Mapping[str, Any]
    """Text, span, headings and page."""


@dataclass(frozen=True, slots=True)
class IndexQuery:
    """One search; `where` applies to both rankings."""

    where: Condition
    scopes: Sequence[str]
    """The collections that are searched; a word's rarity is counted over them."""
    dense: Sequence[float]
    """Always given: every hit gets its similarity, however it was found."""
    lexical: SparseVector
    by_meaning: bool
    by_words: bool
    limit: int
    prefetch: int
    min_similarity: float | None = None
    weights: Weights = field(default_factory=Weights)
    with_vectors: bool = False
    """Whether hits bring their dense vectors along."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that a search found."""

    id: str
    score: float
    similarity: float
    revision: int
    content: Mapping[str, Any]
    dense: tuple[float, ...] = ()
    """The chunk's unit vector, when the query asked for it."""


@dataclass(frozen=True, slots=True)
class Wear:
    """How far an index is from what `tune` makes of it."""

    points: int
    changed: int
    """Points that were stored or removed since."""


class Index(Protocol):
    """A store of chunk points that can be searched.

    Every method raises `IndexUnavailable` when the engine cannot answer. What a method did before
    it returned survives the engine's death, and after `flush` a power cut.
    """

    async def upsert(self, points: Sequence[ChunkPoint]) -> None:
        """Store points; points with known ids are replaced."""
        ...

    async def delete(self, where: Condition) -> None:
        """Remove the points that match."""
        ...

    async def points(self, after: str | None, limit: int) -> tuple[list[ChunkPoint], str | None]:
        """Read points back whole, page by page.

        Returns:
            A page, and what to ask the next one with; None after the last.
        """
        ...

    async def search(self, query: IndexQuery) -> list[Hit]:
        """Find the best points, best first."""
        ...

    async def count(self, where: Condition | None = None) -> int:
        """Count the points that match, or all."""
        ...

    async def revisions(self) -> dict[int, int]:
        """Count the points of every revision."""
        ...

    async def flush(self) -> None:
        """Bring everything written so far to disk."""
        ...

    async def wear(self) -> Wear:
        """Say how much has changed since the index was tuned."""
        ...

    async def tune(self) -> None:
        """Lay the points out for searching; nothing else is answered meanwhile."""
        ...

    def hold_flushes(self, *, held: bool) -> None:
        """Bring nothing to disk unasked from here on, or do so again."""
        ...

    @property
    def ready(self) -> bool:
        """Whether the engine answers now."""
        ...
