"""Uploading files."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field, TypeAdapter, ValidationError
from starlette.datastructures import FormData, UploadFile

from services.chassis.errors import InvalidRequest, invalid_request_from
from services.contracts.knowledge import CollectionName, Scalar, UploadReceipt
from services.retriever.dependencies import Borrowed, CallerOf
from services.retriever.errors import FilesMissing
from services.retriever.uploading import Label

router = APIRouter(prefix="/collections/{collection}/files", tags=["documents"])

MOST_FIELDS = 16
"""Form fields beside the files."""

_METADATA: TypeAdapter[dict[str, Scalar | list[Scalar]]] = TypeAdapter(
    Annotated[dict[str, Scalar | list[Scalar]], Field(max_length=32)]
)


@router.post("")
async def upload_files(
    request: Request, resources: Borrowed, caller: CallerOf, collection: CollectionName
) -> UploadReceipt:
    """Store the form's `files` as documents named after them.

    `id_prefix` goes before each name. A single file may come with the `document_id` that it is to
    have, and files with `metadata`, a JSON object.
    """
    most = resources.settings.limits.max_files
    async with request.form(max_files=most, max_fields=MOST_FIELDS) as form:
        files = [file for file in form.getlist("files") if isinstance(file, UploadFile)]
        if not files:
            raise FilesMissing("Send one or more files in the form field `files`.", param="files")
        label = _label_of(form, len(files))
        return await resources.uploader.upload(caller.tenant, collection, files, label)


def _label_of(form: FormData, files: int) -> Label:
    given = {name: value for name, value in form.items() if isinstance(value, str)}
    document_id = given.get("document_id")
    if document_id is not None and files > 1:
        raise InvalidRequest(
            "`document_id` names one document; send one file with it.", param="document_id"
        )
    try:
        metadata = _METADATA.validate_json(given.get("metadata", "{}"))
    except ValidationError as error:
        raise invalid_request_from(error) from error
    return Label(given.get("id_prefix", ""), document_id, metadata)
