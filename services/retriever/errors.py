"""What the retriever refuses, and why.

InvalidRequest
├── TenantMissing         tenant_missing          the gateway's header is absent
├── FilterInvalid         filter_invalid          a comparison that no metadata can satisfy
├── FilterTooLarge        filter_too_large
├── FilesMissing          files_missing
├── FilesUnexpected       files_unexpected        bytes that the ingestion does not await
└── MetadataInvalid       metadata_invalid        a value that JSON cannot carry back
NotFound
├── CollectionNotFound    collection_not_found
├── DocumentNotFound      document_not_found
└── IngestionNotFound     ingestion_not_found
Conflict
├── EmbeddingMismatch     embedding_mismatch      the collection was built with another model
├── IngestionFinished     ingestion_finished
├── IndexBuilding         index_building          a new index is being made already
└── SyncRemovesMore       sync_removes_more       more documents would go than was agreed to
PayloadTooLarge
├── DocumentTooLarge      document_too_large
├── EmbeddingTooLarge     embedding_input_too_large
└── ManifestTooLarge      manifest_too_large
Overloaded
├── WritesFull            ingestion_full
├── SpoolFull             spool_full
└── TooManyIngestions     too_many_ingestions
Unprocessable
└── DocumentEmpty         document_empty
Unavailable
├── CatalogueUnavailable  catalogue_unavailable
├── DocumentBusy          document_busy           another retriever writes the document
├── IndexUnavailable      index_unavailable
└── Reembedding           reembedding             the collection is on its way to another model
"""

from __future__ import annotations

from services.chassis.errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    Overloaded,
    PayloadTooLarge,
    Unavailable,
    Unprocessable,
)


class TenantMissing(InvalidRequest):
    """A request that does not say whose documents it is about."""

    code = "tenant_missing"


class FilterInvalid(InvalidRequest):
    """A metadata filter that compares what cannot be compared."""

    code = "filter_invalid"


class FilterTooLarge(InvalidRequest):
    """A metadata filter with more tests than allowed."""

    code = "filter_too_large"


class FilesMissing(InvalidRequest):
    """An upload without a file."""

    code = "files_missing"


class FilesUnexpected(InvalidRequest):
    """Bytes of files that the ingestion does not await; the others of the upload were kept."""

    code = "files_unexpected"


class MetadataInvalid(InvalidRequest):
    """Metadata that cannot be given back as it was sent."""

    code = "metadata_invalid"


class CollectionNotFound(NotFound):
    """The tenant has no such collection."""

    code = "collection_not_found"


class DocumentNotFound(NotFound):
    """The collection has no such document."""

    code = "document_not_found"


class IngestionNotFound(NotFound):
    """The tenant has no such ingestion."""

    code = "ingestion_not_found"


class IngestionFinished(Conflict):
    """An ingestion that has ended, or has nothing that could be tried again."""

    code = "ingestion_finished"


class IndexBuilding(Conflict):
    """A new index is being made already."""

    code = "index_building"


class SyncRemovesMore(Conflict):
    """A sync that would remove more documents than the caller agreed to."""

    code = "sync_removes_more"


class EmbeddingMismatch(Conflict):
    """The collection's vectors come from another embedding model."""

    code = "embedding_mismatch"


class DocumentTooLarge(PayloadTooLarge):
    """A document that is longer than allowed."""

    code = "document_too_large"


class EmbeddingTooLarge(PayloadTooLarge):
    """More text to embed than one request may bring."""

    code = "embedding_input_too_large"


class ManifestTooLarge(PayloadTooLarge):
    """More files than one ingestion may have."""

    code = "manifest_too_large"


class SpoolFull(Overloaded):
    """Too many bytes wait to be ingested already."""

    code = "spool_full"


class TooManyIngestions(Overloaded):
    """The tenant has too many open ingestions."""

    code = "too_many_ingestions"


class WritesFull(Overloaded):
    """Too many writes wait already."""

    code = "ingestion_full"


class DocumentEmpty(Unprocessable):
    """A document without a single character that could be searched."""

    code = "document_empty"


class IndexUnavailable(Unavailable):
    """The index cannot answer now."""

    code = "index_unavailable"


class CatalogueUnavailable(Unavailable):
    """The catalogue cannot be reached."""

    code = "catalogue_unavailable"


class DocumentBusy(Unavailable):
    """Another retriever that shares the catalogue is writing the document."""

    code = "document_busy"


class Reembedding(Unavailable):
    """The collection's former model is not there, and the new one has not embedded all of it."""

    code = "reembedding"
