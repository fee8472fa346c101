"""Ingestion jobs: many files into a collection, with progress, and a folder kept in step."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.contracts.knowledge import CollectionName, Scalar
from services.contracts.wire import Wire

IngestionStatus = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
"""`failed` when at least one file failed; `retry` does those again."""

ItemState = Literal[
    "awaiting", "waiting", "created", "replaced", "unchanged", "deleted", "failed", "cancelled"
]
"""`awaiting` until its bytes have come, `waiting` until its turn, then what became of it."""

IngestionAction = Literal["pause", "resume", "cancel", "retry"]
"""What may be done to a job."""

SourceName = Annotated[str, Field(min_length=1, max_length=512)]
"""Who keeps documents in step: a removal reaches only documents that the same source wrote."""


class IngestionOptions(Wire):
    """What every document of a job gets."""

    source: SourceName | None = None
    metadata: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict, max_length=32)
    allowed_groups: list[str] = Field(default_factory=list, max_length=64)
    """Who may see them: empty means everybody of the tenant."""


class FileEntry(Wire):
    """One file of a folder, before its bytes are sent."""

    id: Annotated[str, Field(min_length=1, max_length=4096)]
    """The document's id; one that cannot be an id fails alone."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]
    uri: Annotated[str, Field(max_length=2048)] = ""


class SyncManifest(IngestionOptions):
    """Every file that a source has now: the JSON body of `POST .../ingestions`."""

    source: SourceName
    files: list[FileEntry]
    remove_at_most: Annotated[int, Field(ge=0)] | None = None
    """Remove the source's documents whose file is gone, if they are no more than this."""


class SyncPlan(Wire):
    """What a manifest would do; nothing was done."""

    object: Literal["ingestion.plan"] = "ingestion.plan"
    changed: int
    """Files that are new or changed, whose bytes would be asked for."""
    unchanged: int
    removed: int
    """Documents of the source whose file is gone."""
    removed_ids: list[str]
    """The first of them, at most 100."""


class IngestionProgress(Wire):
    """How far a job is, in files, bytes and chunks."""

    total: int
    awaiting: int = 0
    waiting: int = 0
    created: int = 0
    replaced: int = 0
    unchanged: int = 0
    deleted: int = 0
    failed: int = 0
    cancelled: int = 0
    chunks: int = 0
    """Chunks that were embedded."""
    bytes_waiting: int = 0
    chunks_per_second: float | None = None
    """While the job was worked on."""
    eta_seconds: float | None = None
    """From the bytes still waiting and the bytes done in the time worked."""


class Ingestion(Wire):
    """One ingestion job."""

    id: str
    object: Literal["ingestion"] = "ingestion"
    collection: CollectionName
    source: str | None
    status: IngestionStatus
    created_at: int
    finished_at: int | None
    progress: IngestionProgress


class IngestionReceipt(Ingestion):
    """A job that was taken in; it survives the process from here on."""

    needed: list[str] = Field(default_factory=list)
    """Ids whose bytes are to be sent to `/v1/ingestions/{id}/files`."""


class IngestionPage(Wire):
    """Jobs, newest first."""

    object: Literal["list"] = "list"
    data: list[Ingestion]
    has_more: bool = False


class IngestionItem(Wire):
    """One file of a job, or one document that it removes."""

    number: int
    document_id: str
    state: ItemState
    bytes: int
    chunks: int
    code: str | None = None
    message: str | None = None
    """One sentence that says why it failed."""


class IngestionItemPage(Wire):
    """One page of a job's files, by number."""

    object: Literal["list"] = "list"
    data: list[IngestionItem]
    has_more: bool


class IndexBuild(Wire):
    """How far the making of a new index is."""

    object: Literal["index.build"] = "index.build"
    status: Literal["idle", "building", "failed"]
    """`idle` when none was asked for or the last one is in use."""
    documents: int = 0
    """Documents that are in the new index."""
    of: int = 0
    started_at: int | None = None
    finished_at: int | None = None
    message: str | None = None
    """Why the last one failed."""


class EmbeddingChange(Wire):
    """How far collections are on their way to another embedding model."""

    object: Literal["embedding.change"] = "embedding.change"
    status: Literal["idle", "changing"]
    fingerprint: str
    """The model that they are on their way to, or that built all of them."""
    collections: int = 0
    """Collections that are still the former model's."""
    documents: int = 0
    """Documents of theirs that the new model has embedded."""
    of: int = 0


READABLE_SUFFIXES = frozenset(
    (
        *(".csv", ".docm", ".docx", ".eml", ".htm", ".html", ".json", ".jsonl", ".markdown"),
        *(".md", ".ndjson", ".pdf", ".ppsx", ".pptm", ".pptx", ".rst", ".text", ".tsv", ".txt"),
        *(".xhtml", ".xlsm", ".xlsx"),
    )
)
"""How the names of files end that can become documents."""
