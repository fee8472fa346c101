"""`/v1/embeddings` in OpenAI's shape."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.contracts.wire import Wire

MAX_INPUTS = 2048
"""Texts in one request, as in OpenAI's API."""

Text = Annotated[str, Field(min_length=1)]
Token = Annotated[int, Field(strict=True)]


class EmbeddingCreate(Wire):
    """The body of `POST /v1/embeddings`."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    """The embedding model's name, as `GET /v1/models` lists it."""
    input: (
        Text
        | Annotated[list[Text], Field(min_length=1, max_length=MAX_INPUTS)]
        | list[Token]
        | list[list[Token]]
    )
    """A text or a list of texts. Token numbers are refused: they belong to another model."""
    encoding_format: Literal["float", "base64"] = "float"
    """`base64` is each vector as little-endian 32-bit floats."""
    dimensions: Annotated[int | None, Field(ge=1)] = None
    """Only the model's own number of dimensions is accepted."""
    user: Annotated[str | None, Field(max_length=256)] = None
    input_type: Literal["query", "passage"] = "passage"
    """An extension: whether the texts are questions, or what questions are asked about."""


class Embedding(Wire):
    """One vector of unit length."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(Wire):
    """Tokens of all inputs."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Wire):
    """The reply: one vector for each text, in order."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
