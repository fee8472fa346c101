"""What a caller sends to upload a file: a form with the file and its purpose."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect, Request

from services.chassis.errors import InvalidRequest, invalid_request_from
from services.contracts.files import FileName, FileWrite

_MAX_FIELDS = 8
_NAME: TypeAdapter[str] = TypeAdapter(FileName)
_ANCHOR, _SECONDS = "expires_after[anchor]", "expires_after[seconds]"

OPENAPI_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "properties": {
                        "file": {"type": "string", "contentMediaType": "*/*"},
                        "purpose": {"type": "string"},
                        _ANCHOR: {"type": "string", "enum": ["created_at"]},
                        _SECONDS: {"type": "integer"},
                    },
                }
            }
        },
    }
}
"""The form, for the API's description."""


@contextlib.asynccontextmanager
async def submitted(request: Request) -> AsyncIterator[tuple[str, UploadFile, FileWrite]]:
    """Read an upload: the file's bare name, the file on disk, and what is said of it.

    Raises:
        InvalidRequest: when it is no such form, a field is wrong, or it broke off.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise InvalidRequest(
            "Send the file as multipart/form-data in the field `file`.", code="not_multipart"
        )
    try:
        async with request.form(max_files=1, max_fields=_MAX_FIELDS) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise InvalidRequest(
                    "Send the file in the field `file`, with its file name.", param="file"
                )
            yield _name_of(file), file, _write_of(form)
    except ClientDisconnect as error:
        raise InvalidRequest(
            "The upload broke off before its end; send it again.", code="upload_aborted"
        ) from error


def _name_of(file: UploadFile) -> str:
    """Drop the folders that some clients send, and read the quotes that forms escape."""
    name = (file.filename or "").replace("\\", "/").rpartition("/")[2].replace("%22", '"')
    try:
        return _NAME.validate_python(name)
    except ValidationError as error:
        raise InvalidRequest(
            "The file's name is empty, longer than 255 characters, or holds control characters; "
            "rename it.",
            code="file_name_invalid",
            param="file",
        ) from error


def _write_of(form: FormData) -> FileWrite:
    given: dict[str, Any] = {key: value for key, value in form.items() if key != "file"}
    anchor, seconds = given.pop(_ANCHOR, None), given.pop(_SECONDS, None)
    if (anchor, seconds) != (None, None) and (anchor != "created_at" or seconds is None):
        raise InvalidRequest(
            "`expires_after` holds the anchor `created_at` and `seconds`.", param="expires_after"
        )
    try:
        return FileWrite.model_validate({**given, "expires_after_seconds": seconds})
    except ValidationError as error:
        raise invalid_request_from(error) from error
