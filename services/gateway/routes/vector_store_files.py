"""`/v1/vector_stores/{id}/files` and `/file_batches`: putting files in and taking them out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from services.contracts.files import FileId
from services.contracts.knowledge import CollectionName, Deleted
from services.contracts.vector_stores import (
    AttributesWrite,
    BatchCreate,
    FileAttach,
    FileBatch,
    FileContent,
    FileStatus,
    VectorStoreFile,
    VectorStoreFilePage,
)
from services.gateway.dependencies import CursorDep, Reader, ResourcesDep, Writer

router = APIRouter(prefix="/v1/vector_stores/{vector_store_id}", tags=["vector stores"])

POLL_AFTER = {"openai-poll-after-ms": "250"}
"""When the official client looks again, where it waits for an end."""

StorePath = Annotated[CollectionName, Path()]
FilePath = Annotated[FileId, Path()]
StatusQuery = Annotated[FileStatus | None, Query(alias="filter")]


@router.post("/files")
async def attach_file(
    resources: ResourcesDep, caller: Writer, vector_store_id: StorePath, body: FileAttach
) -> VectorStoreFile:
    """Put a file into a vector store; it is indexed beside the requests."""
    return await resources.knowledge.attachments.attach(caller, vector_store_id, body)


@router.get("/files")
async def list_attached_files(
    resources: ResourcesDep,
    caller: Reader,
    vector_store_id: StorePath,
    cursor: CursorDep,
    status: StatusQuery = None,
) -> VectorStoreFilePage:
    """List a vector store's files, newest first unless `order` says otherwise."""
    data, has_more = await resources.knowledge.attachments.listed(
        caller, vector_store_id, cursor.page, cursor.order, status
    )
    return _page(data, has_more)


@router.get("/files/{file_id}")
async def get_attached_file(
    resources: ResourcesDep,
    caller: Reader,
    vector_store_id: StorePath,
    file_id: FilePath,
    response: Response,
) -> VectorStoreFile:
    """Describe a file of a vector store, and whether it is indexed."""
    response.headers.update(POLL_AFTER)
    return await resources.knowledge.attachments.one(caller, vector_store_id, file_id)


@router.post("/files/{file_id}")
async def update_attached_file(
    resources: ResourcesDep,
    caller: Writer,
    vector_store_id: StorePath,
    file_id: FilePath,
    body: AttributesWrite,
) -> VectorStoreFile:
    """Give a file other attributes; it is indexed anew and stays searchable meanwhile."""
    return await resources.knowledge.attachments.set_attributes(
        caller, vector_store_id, file_id, dict(body.attributes or {})
    )


@router.delete("/files/{file_id}")
async def detach_file(
    resources: ResourcesDep, caller: Writer, vector_store_id: StorePath, file_id: FilePath
) -> Deleted:
    """Take a file out of a vector store; the file under `/v1/files` stays."""
    await resources.knowledge.attachments.remove(caller, vector_store_id, file_id)
    return Deleted(id=file_id, object="vector_store.file.deleted")


@router.get("/files/{file_id}/content")
async def get_attached_content(
    resources: ResourcesDep, caller: Reader, vector_store_id: StorePath, file_id: FilePath
) -> FileContent:
    """Read the text that was made of a file."""
    return await resources.knowledge.attachments.content(caller, vector_store_id, file_id)


@router.post("/file_batches")
async def create_batch(
    resources: ResourcesDep, caller: Writer, vector_store_id: StorePath, body: BatchCreate
) -> FileBatch:
    """Put many files into a vector store: all of them, or none when one does not exist."""
    return await resources.knowledge.attachments.open_batch(caller, vector_store_id, body)


@router.get("/file_batches/{batch_id}")
async def get_batch(
    resources: ResourcesDep,
    caller: Reader,
    vector_store_id: StorePath,
    batch_id: FilePath,
    response: Response,
) -> FileBatch:
    """Describe how far a batch is."""
    response.headers.update(POLL_AFTER)
    return await resources.knowledge.attachments.batch(caller, vector_store_id, batch_id)


@router.post("/file_batches/{batch_id}/cancel")
async def cancel_batch(
    resources: ResourcesDep, caller: Writer, vector_store_id: StorePath, batch_id: FilePath
) -> FileBatch:
    """Give up the files of a batch that are not indexed yet."""
    return await resources.knowledge.attachments.cancel(caller, vector_store_id, batch_id)


@router.get("/file_batches/{batch_id}/files")
async def list_batch_files(
    resources: ResourcesDep,
    caller: Reader,
    vector_store_id: StorePath,
    batch_id: FilePath,
    cursor: CursorDep,
    status: StatusQuery = None,
) -> VectorStoreFilePage:
    """List a batch's files."""
    data, has_more = await resources.knowledge.attachments.batch_files(
        caller, vector_store_id, batch_id, cursor.page, cursor.order, status
    )
    return _page(data, has_more)


def _page(data: Sequence[VectorStoreFile], has_more: bool) -> VectorStoreFilePage:
    return VectorStoreFilePage(
        data=list(data),
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=has_more,
    )
