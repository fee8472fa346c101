"""The chat endpoint's request and what Inkstone adds to the reply."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.knowledge import CollectionName, Filter, Span
from services.contracts.wire import Wire


class ChatMessage(BaseModel):
    """One turn; fields that Inkstone does not read pass to the engine unchanged."""

    model_config = ConfigDict(extra="allow", frozen=True)

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None


class RetrievalOverride(Wire):
    """A caller's wish about retrieval; it can only narrow what the release allows."""

    enabled: bool = True
    collections: list[CollectionName] | None = None
    top_k: Annotated[int | None, Field(ge=1, le=50)] = None
    min_score: Annotated[float | None, Field(ge=0, le=1)] = None
    filter: Filter | None = None


class StreamOptions(BaseModel):
    """OpenAI's stream options; usage is always present whatever they say."""

    model_config = ConfigDict(extra="allow", frozen=True)

    include_usage: bool = True


class ChatRequest(BaseModel):
    """OpenAI's chat request; fields that Inkstone does not read are listed in docs/request.md."""

    model_config = ConfigDict(extra="allow", frozen=True)

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    max_completion_tokens: Annotated[int | None, Field(ge=1)] = None
    n: Annotated[int | None, Field(ge=1, le=8)] = None
    stop: str | list[str] | None = None
    seed: int | None = None
    user: str | None = None
    response_format: dict[str, Any] | None = None
    retrieval: RetrievalOverride | None = None
    """Inkstone's own: narrow retrieval for this request."""
    conversation_id: Annotated[str | None, Field(max_length=256)] = None
    """Inkstone's own: keeps the turns of one chat on one arm."""
    include_reasoning: bool = False
    """Show what a profile that reasons in steps thought before its answer, as `reasoning`."""


class Citation(Wire):
    """A passage that the answer points to."""

    n: int
    """The marker's number: `[n]` in the answer."""
    collection: CollectionName
    document_id: str
    title: str
    uri: str
    span: Span
    page: int | None
    score: float
    support: float | None = None
    """The share of the words of the sentence that cites it, 0 to 1, which it has, 0 when it lacks
    one of the numbers; of several sentences the best. None for answers in JSON."""
    text: str


class Timings(Wire):
    """Milliseconds by stage of one request."""

    admit_ms: float
    rewrite_ms: float = 0.0
    """While the base wrote the question to search for."""
    retrieve_ms: float
    compose_ms: float
    first_token_ms: float
    generate_ms: float
    total_ms: float


class RetrievalSummary(Wire):
    """What retrieval gave to this answer."""

    enabled: bool
    grounded: bool
    """False when retrieval failed or was switched off and the answer rests on the model alone."""
    passages: int
    """How many passages stood in the prompt."""
    dropped: int
    """How many were left out to fit the context."""
    corpus_revision: int | None
    query: str | None = None
    """What was searched for, where that is not the question as it was asked."""
    answerability: float | None = None
    """How probable it is that a passage answers the question, as the retriever estimates."""


class InkstoneBlock(Wire):
    """What Inkstone says of an answer, in the body and in the last streamed chunk."""

    request_id: str
    assistant: str | None
    release: str | None
    arm: Literal["stable", "candidate", "shadow"]
    adapter: str | None
    replica: str | None
    outcome: Literal["answered", "abstained", "escalate"]
    invalid_citations: int
    """Markers that named no given passage; they were removed from the text."""
    support: float | None = None
    """How well the sentences that cite something are supported by what they cite, 0 to 1, by their
    words: the average of their shares. None where nothing is cited, and for answers in JSON."""
    timings: Timings
    retrieval: RetrievalSummary
    cost_usd: float
