"""Uploading files."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile

from services.contracts.knowledge import CollectionName, UploadReceipt
from services.retriever.dependencies import Borrowed, CallerOf
from services.retriever.errors import FilesMissing

router = APIRouter(prefix="/collections/{collection}/files", tags=["documents"])

MOST_FIELDS = 16
"""Form fields beside the files."""


@router.post("")
async def upload_files(
    request: Request, resources: Borrowed, caller: CallerOf, collection: CollectionName
) -> UploadReceipt:
    """Store the form's `files` as documents named after them; `id_prefix` goes before each name."""
    most = resources.settings.limits.max_files
    async with request.form(max_files=most, max_fields=MOST_FIELDS) as form:
        files = [file for file in form.getlist("files") if isinstance(file, UploadFile)]
        if not files:
            raise FilesMissing("Send one or more files in the form field `files`.", param="files")
        prefix = form.get("id_prefix", "")
        return await resources.uploader.upload(
            caller.tenant, collection, files, prefix if isinstance(prefix, str) else ""
        )
