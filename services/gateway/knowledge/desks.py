"""Opening what OpenAI's surfaces of knowledge work with."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from services.chassis.artifacts import ArtifactStore
from services.gateway.admission import Admission
from services.gateway.clients.retriever import Retriever
from services.gateway.knowledge.attachments import AttachmentDesk
from services.gateway.knowledge.embeddings import EmbeddingDesk
from services.gateway.knowledge.files import FileDesk
from services.gateway.knowledge.indexing import Indexer, Patience
from services.gateway.knowledge.metrics import embedding_metrics, indexed_counter
from services.gateway.knowledge.searching import StoreSearcher
from services.gateway.knowledge.stores import StoreDesk
from services.gateway.loops import Loop
from services.gateway.registry.changes import Registry
from services.gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class Desks:
    """What answers OpenAI's surfaces of knowledge."""

    embeddings: EmbeddingDesk
    """Answers embedding requests."""
    files: FileDesk
    """Keeps files."""
    stores: StoreDesk
    """Keeps vector stores."""
    attachments: AttachmentDesk
    """Puts files into vector stores."""
    searcher: StoreSearcher
    """Searches vector stores."""
    indexer: Indexer
    """Does what is left to do with files in vector stores."""


def open_desks(
    settings: Settings,
    registry: Registry,
    artifacts: ArtifactStore,
    retriever: Retriever,
    admission: Admission,
    metrics: CollectorRegistry,
) -> Desks:
    """Make the desks; they own nothing that needs closing."""
    files, limits = settings.files, settings.vector_stores
    patience = Patience(
        lease_seconds=limits.lease_seconds,
        retry_seconds=limits.retry_seconds,
        attempts=limits.attempts,
        poll_seconds=limits.poll_seconds,
    )
    indexer = Indexer(registry, artifacts, retriever, patience, indexed_counter(metrics))
    stores = StoreDesk(registry, retriever, indexer, limits.max_stores, limits.max_files)
    return Desks(
        embeddings=EmbeddingDesk(retriever, admission, embedding_metrics(metrics)),
        files=FileDesk(registry, artifacts, retriever, files.max_bytes, files.max_tenant_bytes),
        stores=stores,
        attachments=AttachmentDesk(registry, retriever, indexer, stores),
        searcher=StoreSearcher(registry, retriever, stores),
        indexer=indexer,
    )


def loops_of(desks: Desks, settings: Settings) -> tuple[Loop, ...]:
    """Name the work beside the requests; every indexer waits for work by itself."""
    indexer = Loop("vector_store_files", 0.0, desks.indexer.work)
    return (
        Loop("files", settings.files.sweep_seconds, desks.files.sweep),
        *(indexer for _ in range(settings.vector_stores.concurrent_files)),
    )
