"""`/v1/files`: OpenAI's files."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import StreamingResponse

from services.contracts.files import FileId, FileObject, FilePage, KeptPurpose
from services.contracts.knowledge import Deleted
from services.gateway.dependencies import Filer, ResourcesDep
from services.gateway.knowledge.submission import OPENAPI_BODY, submitted
from services.gateway.registry import files
from services.gateway.registry.files import Order
from services.gateway.registry.paging import Page

router = APIRouter(prefix="/v1/files", tags=["files"])

FilePath = Annotated[FileId, Path()]

MAX_PAGE = 10_000
"""Files that one page lists, as in OpenAI's API."""


@router.post("", openapi_extra=OPENAPI_BODY)
async def upload_file(request: Request, resources: ResourcesDep, caller: Filer) -> FileObject:
    """Keep a file (`file`) for a `purpose`."""
    async with submitted(request) as (name, upload, write):
        return await resources.knowledge.files.store(caller, name, upload.file, write)


@router.get("")
async def list_files(
    resources: ResourcesDep,
    caller: Filer,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = MAX_PAGE,
    after: Annotated[FileId | None, Query()] = None,
    order: Order = "desc",
    purpose: KeptPurpose | None = None,
) -> FilePage:
    """List the tenant's files, newest first unless `order` says otherwise."""
    data, has_more = await files.listed(
        resources.registry, caller.tenant, Page(limit, after), purpose=purpose, order=order
    )
    return FilePage(
        data=list(data),
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=has_more,
    )


@router.get("/{file_id}")
async def get_file(resources: ResourcesDep, caller: Filer, file_id: FilePath) -> FileObject:
    """Describe a file."""
    return await files.one(resources.registry, caller.tenant, file_id)


@router.get("/{file_id}/content")
async def get_file_content(
    resources: ResourcesDep, caller: Filer, file_id: FilePath
) -> StreamingResponse:
    """Hand out a file's bytes, exactly as they were sent."""
    file, content = await resources.knowledge.files.content(caller, file_id)
    headers = {
        "content-length": str(file.bytes),
        "content-disposition": f"attachment; filename*=UTF-8''{quote(file.filename, safe='')}",
    }
    return StreamingResponse(content, media_type="application/octet-stream", headers=headers)


@router.delete("/{file_id}")
async def delete_file(resources: ResourcesDep, caller: Filer, file_id: FilePath) -> Deleted:
    """Delete a file and take it out of every vector store."""
    await resources.knowledge.files.delete(caller, file_id)
    resources.knowledge.indexer.wake()
    return Deleted(id=file_id, object="file")
