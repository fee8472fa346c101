"""Texts to unit vectors: what the rest of the service knows of a model."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from services.contracts.knowledge import EmbeddingRequest, EmbeddingResult
from services.retriever.errors import EmbeddingTooLarge

Kind = Literal["query", "passage"]
Vector = npt.NDArray[np.float32]


class Embedder(Protocol):
    """A model that turns texts into unit vectors."""

    @property
    def name(self) -> str:
        """What the operator calls the model."""
        ...

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits; equal for models that give equal vectors."""
        ...

    @property
    def dimensions(self) -> int:
        """The vectors' length."""
        ...

    @property
    def max_tokens(self) -> int:
        """The longest text that the model reads, its prompt included."""
        ...

    def count_tokens(self, text: str) -> int:
        """Count a text's tokens, at most as many as the model reads; safe in any thread."""
        ...

    async def question(self, text: str) -> Vector:
        """Embed one question; repeated questions are remembered."""
        ...

    async def texts(self, texts: Sequence[str], kind: Kind) -> list[Vector]:
        """Embed many texts, behind any question that waits."""
        ...


async def embed_texts(
    embedder: Embedder, request: EmbeddingRequest, max_characters: int
) -> EmbeddingResult:
    """Answer a request for vectors.

    Raises:
        EmbeddingTooLarge: the texts are longer than allowed, all together.
    """
    if sum(map(len, request.input)) > max_characters:
        raise EmbeddingTooLarge(
            f"The input is longer than {max_characters} characters in all; send less at a time.",
            param="input",
        )
    vectors = await embedder.texts(request.input, request.kind)
    counts = await asyncio.to_thread(lambda: [embedder.count_tokens(t) for t in request.input])
    return EmbeddingResult(
        model=embedder.name,
        dimensions=embedder.dimensions,
        data=[vector.tolist() for vector in vectors],
        prompt_tokens=sum(counts),
    )
