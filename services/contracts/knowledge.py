"""Documents in, passages out: what the gateway and the retriever say to each other."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.contracts.wire import Wire

CollectionName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""A collection's name: lower-case letters, digits, `-` and `_`, at most 63."""

DocumentId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        pattern=r"^(?:\.{0,2}[^\x00-\x1f/\\.]|\.{3})[^\x00-\x1f/\\]*$",
    ),
]
"""The caller's own name for a document, any script; no slashes or control characters.

`.` and `..` are refused: in a URL they would name another resource.
"""

Scalar = str | Annotated[int, Field(ge=-(2**63), lt=2**63)] | float | bool
"""A value that metadata may hold and a filter may compare; a number beyond 64 bits is a float."""

TENANT_HEADER = "X-Inkstone-Tenant"
"""The caller's tenant, set by the gateway from the key and by nobody else."""

GROUPS_HEADER = "X-Inkstone-Groups"
"""The caller's groups, comma-separated and percent-encoded; set by the gateway from the key."""


CURATOR_HEADER = "X-Inkstone-Curator"
"""`yes` when the caller keeps the tenant's documents and so reads those of every group; set by the
gateway from the key's scope. Searches do not heed it."""


class Comparison(Wire):
    """One test of one metadata field."""

    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    key: Annotated[str, Field(min_length=1, max_length=64)]
    value: Scalar | list[Scalar]
    """A list for `in` and `nin`, one value otherwise."""


class Compound(Wire):
    """All (`and`) or any (`or`) of several tests."""

    type: Literal["and", "or"]
    filters: Annotated[list[Filter], Field(min_length=1, max_length=32)]


class Negation(Wire):
    """The opposite of one test."""

    type: Literal["not"]
    filter: Filter


Filter = Annotated[Comparison | Compound | Negation, Field(discriminator="type")]
"""A metadata filter in the shape of OpenAI's vector stores, with `not` added."""

Compound.model_rebuild()
Negation.model_rebuild()


class DocumentWrite(Wire):
    """The body of `PUT /v1/collections/{collection}/documents/{id}`."""

    text: Annotated[str, Field(min_length=1)]
    """Plain text or Markdown; headings become the passages' headings."""
    title: Annotated[str, Field(max_length=512)] = ""
    uri: Annotated[str, Field(max_length=2048)] = ""
    metadata: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict, max_length=32)
    allowed_groups: list[str] = Field(default_factory=list, max_length=64)
    """Who may see it: empty means everybody of the tenant."""


class Document(Wire):
    """A stored document, without its text."""

    id: DocumentId
    object: Literal["collection.document"] = "collection.document"
    collection: CollectionName
    title: str
    uri: str
    metadata: dict[str, Scalar | list[Scalar]]
    allowed_groups: list[str]
    content_hash: str
    """sha256 of text, title, uri, metadata and groups: equal hashes mean nothing to do."""
    chunks: int
    characters: int
    created_at: int
    """Seconds since the epoch."""
    updated_at: int


class DocumentReceipt(Document):
    """What a write did."""

    outcome: Literal["created", "replaced", "unchanged"]


class DocumentText(Document):
    """A stored document with its text, whose characters the passages' spans count."""

    text: str


class DocumentPage(Wire):
    """One page of a collection's documents, by id."""

    object: Literal["list"] = "list"
    data: list[Document]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Deleted(Wire):
    """The reply to a delete."""

    id: str
    object: str
    deleted: bool = True


class Collection(Wire):
    """A collection and what it holds."""

    id: CollectionName
    object: Literal["collection"] = "collection"
    documents: int
    chunks: int
    embedding_fingerprint: str
    created_at: int


class CollectionPage(Wire):
    """Every collection of the tenant."""

    object: Literal["list"] = "list"
    data: list[Collection]
    has_more: bool = False


class FileOutcome(Wire):
    """What became of one uploaded file; a bad file fails alone."""

    filename: str
    document_id: str
    outcome: Literal["created", "replaced", "unchanged", "failed"]
    chunks: int = 0
    code: str | None = None
    message: str | None = None


class UploadReceipt(Wire):
    """What became of a bulk upload, file by file."""

    object: Literal["collection.upload"] = "collection.upload"
    collection: CollectionName
    files: list[FileOutcome]
    failed: int


class RankingWeights(Wire):
    """What each ranking counts in a hybrid search; only their ratio matters."""

    dense: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 1.0
    lexical: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 1.0


class SearchQuery(Wire):
    """The body of a search over one or more collections.

    What is left out is as the retriever's settings say.
    """

    query: Annotated[str, Field(min_length=1, max_length=8192)]
    top_k: Annotated[int, Field(ge=1, le=100)] = 5
    min_score: Annotated[float | None, Field(ge=0, le=1)] = None
    """Passages whose dense cosine similarity is lower are left out."""
    filter: Filter | None = None
    mode: Literal["hybrid", "dense", "lexical"] = "hybrid"
    weights: RankingWeights | None = None
    expand: Literal["none", "section"] | None = None
    """`section` adds to each passage the part of its section that surrounds it."""
    diversity: Annotated[float | None, Field(ge=0, le=1, allow_inf_nan=False)] = None
    """0 ranks by relevance alone; more makes passages that repeat others step back."""


class CollectionSearch(SearchQuery):
    """A search as the gateway sends it to the retriever: the collections are named in the body."""

    collections: Annotated[list[CollectionName], Field(min_length=1, max_length=32)]


class Span(Wire):
    """Characters `start` to `end` (exclusive) of the document's text."""

    start: int
    end: int


class Surroundings(Wire):
    """A longer piece of the document that holds a passage."""

    text: str
    """Exactly the document's characters of `span`."""
    span: Span


class Passage(Wire):
    """A chunk as retrieved, with score and origin."""

    collection: CollectionName
    document_id: DocumentId
    chunk: int
    """The chunk's place in its document, from 0."""
    title: str
    uri: str
    headings: list[str]
    page: int | None
    text: str
    span: Span
    score: float
    """The fused score; comparable within one result only."""
    similarity: float
    """Cosine similarity of question and passage, -1 to 1."""
    metadata: dict[str, Scalar | list[Scalar]]
    surroundings: Surroundings | None = None
    """With `expand: section`: what to read, unless a better passage's holds this one too.

    `span` above stays what to cite.
    """


class SearchTimings(Wire):
    """Where the retriever spent its time, in milliseconds."""

    embed_ms: float
    search_ms: float
    total_ms: float


class SearchResult(Wire):
    """Passages, best first."""

    object: Literal["search.result"] = "search.result"
    data: list[Passage]
    corpus_revision: int
    """Grows with every change to the tenant's documents."""
    timings: SearchTimings
    answerability: Annotated[float, Field(ge=0, le=1)] | None = None
    """How probable it is that a passage answers the question; none where nobody estimated it."""


class EmbeddingRequest(Wire):
    """Texts to embed, as the gateway passes them on."""

    input: Annotated[list[str], Field(min_length=1, max_length=2048)]
    kind: Literal["query", "passage"] = "passage"


class EmbeddingResult(Wire):
    """One unit-length vector for each text, in order."""

    model: str
    dimensions: int
    data: list[list[float]]
    prompt_tokens: int


class EmbeddingModel(Wire):
    """The model that searches use, as the retriever describes it."""

    model: str
    dimensions: int
    fingerprint: str
