"""Documents and search, passed on to the retriever in the name of the caller's tenant."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from services.chassis.errors import InvalidRequest
from services.contracts.knowledge import (
    Collection,
    CollectionName,
    CollectionPage,
    CollectionSearch,
    Deleted,
    DocumentId,
    DocumentPage,
    DocumentReceipt,
    DocumentText,
    DocumentWrite,
    SearchQuery,
    SearchResult,
    UploadReceipt,
)
from services.gateway.dependencies import Reader, ResourcesDep, Writer

router = APIRouter(prefix="/v1/collections", tags=["knowledge"])

CollectionPath = Annotated[CollectionName, Path()]
DocumentPath = Annotated[DocumentId, Path()]

_UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "items": {"type": "string", "contentMediaType": "*/*"},
                        },
                        "id_prefix": {"type": "string"},
                    },
                }
            }
        },
    }
}


@router.get("")
async def list_collections(resources: ResourcesDep, caller: Reader) -> CollectionPage:
    """List the tenant's collections."""
    return await resources.retriever.collections(caller)


@router.get("/{collection}")
async def get_collection(
    resources: ResourcesDep, caller: Reader, collection: CollectionPath
) -> Collection:
    """Describe a collection."""
    return await resources.retriever.collection(caller, collection)


@router.delete("/{collection}")
async def delete_collection(
    resources: ResourcesDep, caller: Writer, collection: CollectionPath
) -> Deleted:
    """Delete a collection with all its documents, and what is said of it as a vector store."""
    await resources.knowledge.stores.remove(caller, collection)
    return Deleted(id=collection, object="collection")


@router.post("/{collection}/search")
async def search_collection(
    resources: ResourcesDep, caller: Reader, collection: CollectionPath, query: SearchQuery
) -> SearchResult:
    """Find passages of a collection, best first: what an assistant would be given."""
    search = CollectionSearch(**dict(query), collections=[collection])
    return await resources.retriever.search(caller, search)


@router.get("/{collection}/documents")
async def list_documents(
    resources: ResourcesDep,
    caller: Reader,
    collection: CollectionPath,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[str | None, Query(max_length=255)] = None,
) -> DocumentPage:
    """List a collection's documents by id; `after` is the last id of the page before."""
    params = {"limit": str(limit)} | ({"after": after} if after is not None else {})
    return await resources.retriever.documents(caller, collection, params)


@router.get("/{collection}/documents/{document_id}")
async def get_document(
    resources: ResourcesDep, caller: Reader, collection: CollectionPath, document_id: DocumentPath
) -> DocumentText:
    """Read a document with its text."""
    return await resources.retriever.document(caller, collection, document_id)


@router.put("/{collection}/documents/{document_id}")
async def put_document(
    resources: ResourcesDep,
    caller: Writer,
    collection: CollectionPath,
    document_id: DocumentPath,
    write: DocumentWrite,
) -> DocumentReceipt:
    """Create or replace a document; the same content again changes nothing."""
    return await resources.retriever.put_document(caller, collection, document_id, write)


@router.delete("/{collection}/documents/{document_id}")
async def delete_document(
    resources: ResourcesDep, caller: Writer, collection: CollectionPath, document_id: DocumentPath
) -> Deleted:
    """Delete a document with its passages."""
    return await resources.retriever.delete_document(caller, collection, document_id)


@router.post("/{collection}/files", openapi_extra=_UPLOAD_BODY)
async def upload_files(
    request: Request, resources: ResourcesDep, caller: Writer, collection: CollectionPath
) -> UploadReceipt:
    """Add many files at once (`files`, repeated); a file that cannot be read fails alone."""
    content_type = request.headers.get("content-type", "")
    if not content_type.startswith("multipart/form-data"):
        raise InvalidRequest(
            "Send the files as multipart/form-data in the field `files`.", code="not_multipart"
        )
    return await resources.retriever.upload(caller, collection, content_type, request.stream())
