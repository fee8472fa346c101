"""`/v1/vector_stores` in OpenAI's shape: a vector store is a collection by another name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from services.contracts.files import FileId
from services.contracts.knowledge import Filter
from services.contracts.wire import Wire

MAX_BATCH_FILES = 2000
"""Files in one batch, as in OpenAI's API."""

Key = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]+$")]
ShortText = Annotated[str, Field(max_length=512, pattern=r"^[^\x00]*$")]
StoreName = Annotated[str, Field(max_length=256, pattern=r"^[^\x00]*$")]
Number = Annotated[float, Field(allow_inf_nan=False)]
WholeNumber = Annotated[int, Field(ge=-(2**53), le=2**53)]
"""What every JSON reader keeps exactly."""

Metadata = Annotated[dict[Key, ShortText], Field(max_length=16)]
"""Up to 16 keys of at most 64 characters with texts of at most 512."""

Attributes = Annotated[dict[Key, ShortText | bool | WholeNumber | Number], Field(max_length=16)]
"""What filters compare: up to 16 keys of at most 64 characters."""

FileStatus = Literal["in_progress", "completed", "cancelled", "failed"]


class StaticChunks(Wire):
    """The sizes of `static` chunking."""

    max_chunk_size_tokens: int
    chunk_overlap_tokens: int


class ChunkingStrategy(Wire):
    """How a file is cut. Only `auto` is done, with the sizes that the retriever is set to."""

    type: Literal["auto", "static"]
    static: StaticChunks | None = None


class VectorStoreCreate(Wire):
    """The body of `POST /v1/vector_stores`."""

    name: StoreName | None = None
    description: ShortText | None = None
    file_ids: Annotated[list[FileId], Field(max_length=MAX_BATCH_FILES)] = Field(
        default_factory=list
    )
    metadata: Metadata | None = None
    expires_after: dict[str, Any] | None = None
    """Refused: knowledge goes when somebody deletes it."""
    chunking_strategy: ChunkingStrategy | None = None


class VectorStoreUpdate(Wire):
    """The body of `POST /v1/vector_stores/{id}`; what is left out stays."""

    name: StoreName | None = None
    metadata: Metadata | None = None
    expires_after: dict[str, Any] | None = None


class FileCounts(Wire):
    """Files by status."""

    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    total: int = 0


class CollectionFigures(Wire):
    """What the collection behind a vector store holds, documents of other origin included."""

    documents: int
    chunks: int
    version: int = 0
    """Of the name and the notes: grows with every change, 0 when there never was one."""


class VectorStore(Wire):
    """A vector store. Its id is the collection's name."""

    id: str
    object: Literal["vector_store"] = "vector_store"
    created_at: int
    name: str
    description: str = ""
    usage_bytes: int
    file_counts: FileCounts
    status: Literal["expired", "in_progress", "completed"]
    expires_after: None = None
    expires_at: int | None = None
    last_active_at: int | None
    """When it last changed."""
    metadata: dict[str, str]
    inkstone: CollectionFigures


class VectorStorePage(Wire):
    """One page of vector stores."""

    object: Literal["list"] = "list"
    data: list[VectorStore]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileAttach(Wire):
    """The body of `POST /v1/vector_stores/{id}/files`."""

    file_id: FileId
    attributes: Attributes | None = None
    chunking_strategy: ChunkingStrategy | None = None


class AttributesWrite(Wire):
    """The body of `POST /v1/vector_stores/{id}/files/{file_id}`."""

    attributes: Attributes | None


class FileError(Wire):
    """Why a file could not be indexed."""

    code: Literal["server_error", "unsupported_file", "invalid_file"]
    message: str


class UnsaidChunking(Wire):
    """Chunks of the size that the retriever is set to."""

    type: Literal["other"] = "other"


class VectorStoreFile(Wire):
    """A file of a vector store."""

    id: str
    object: Literal["vector_store.file"] = "vector_store.file"
    created_at: int
    vector_store_id: str
    status: FileStatus
    last_error: FileError | None
    usage_bytes: int
    attributes: dict[str, str | bool | int | float]
    chunking_strategy: UnsaidChunking = UnsaidChunking()


class VectorStoreFilePage(Wire):
    """One page of a vector store's files."""

    object: Literal["list"] = "list"
    data: list[VectorStoreFile]
    first_id: str | None
    last_id: str | None
    has_more: bool


class BatchCreate(Wire):
    """The body of `POST /v1/vector_stores/{id}/file_batches`: `file_ids` or `files`."""

    file_ids: Annotated[list[FileId], Field(max_length=MAX_BATCH_FILES)] | None = None
    files: Annotated[list[FileAttach], Field(max_length=MAX_BATCH_FILES)] | None = None
    attributes: Attributes | None = None
    """Of every file in `file_ids`."""
    chunking_strategy: ChunkingStrategy | None = None


class FileBatch(Wire):
    """Files that were attached together."""

    id: str
    object: Literal["vector_store.files_batch"] = "vector_store.files_batch"
    created_at: int
    vector_store_id: str
    status: FileStatus
    file_counts: FileCounts


class RankingOptions(Wire):
    """How results are ranked."""

    ranker: Literal["none", "auto", "default-2024-11-15"] = "auto"
    """Accepted for compatibility; the retriever's settings decide."""
    score_threshold: Annotated[float | None, Field(ge=0, le=1)] = None
    """Results whose cosine similarity is lower are left out."""


class VectorStoreSearch(Wire):
    """The body of `POST /v1/vector_stores/{id}/search`."""

    query: (
        Annotated[str, Field(min_length=1, max_length=8192)]
        | Annotated[
            list[Annotated[str, Field(min_length=1, max_length=8192)]],
            Field(min_length=1, max_length=8),
        ]
    )
    filters: Filter | None = None
    max_num_results: Annotated[int, Field(ge=1, le=50)] = 10
    ranking_options: RankingOptions = RankingOptions()
    rewrite_query: bool = False
    """Accepted and not done: `search_query` in the reply says what was searched for."""


class TextContent(Wire):
    """A piece of text."""

    type: Literal["text"] = "text"
    text: str


class SearchHit(Wire):
    """One passage."""

    file_id: str
    """The file, or the id of a document that was written through `/v1/collections`."""
    filename: str
    score: float
    """Cosine similarity, 0 to 1; the order is the fused one."""
    attributes: dict[str, str | bool | int | float]
    content: list[TextContent]


class SearchHits(Wire):
    """Passages, best first."""

    object: Literal["vector_store.search_results.page"] = "vector_store.search_results.page"
    search_query: list[str]
    data: list[SearchHit]
    has_more: bool = False
    next_page: str | None = None


class FileContent(Wire):
    """The text that was read from a file."""

    object: Literal["vector_store.file_content.page"] = "vector_store.file_content.page"
    file_id: str
    filename: str
    attributes: dict[str, str | bool | int | float]
    data: list[TextContent]
    has_more: bool = False
    next_page: str | None = None
