"""What an operator sends to register an adapter: an archive with labels, or a path."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

from pydantic import Field, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from services.chassis.errors import InvalidRequest, invalid_request_from
from services.contracts.adapters import AdapterImport, AdapterName
from services.contracts.wire import Wire
from services.gateway.adapters.examination import Labels
from services.gateway.adapters.intake import AdapterIntake, Fill

_MAX_FIELDS = 8

OPENAPI_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "contentMediaType": "application/gzip"},
                        "name": {"type": "string"},
                        "description": {"type": "string"},
                    },
                }
            },
            "application/json": {"schema": AdapterImport.model_json_schema()},
        },
    }
}
"""Both forms of the body, for the API's description."""


class _Fields(Wire):
    """What may stand beside the file."""

    name: AdapterName | None = None
    description: Annotated[str | None, Field(max_length=1024)] = None


@contextlib.asynccontextmanager
async def submitted(request: Request, intake: AdapterIntake) -> AsyncIterator[tuple[Fill, Labels]]:
    """Read a submission; an uploaded archive lies on disk, not in memory, until the block ends.

    Raises:
        InvalidRequest: when it is neither form, or a field is wrong.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/json":
            body = AdapterImport.model_validate_json(await request.body())
            yield intake.from_path(body.path), Labels(body.name, body.description)
        elif kind == "multipart/form-data":
            async with request.form(max_files=1, max_fields=_MAX_FIELDS) as form:
                upload, labels = _upload(form)
                yield intake.from_archive(upload.file), labels
        else:
            raise InvalidRequest(
                "Send the archive as multipart/form-data in the field `file`, or a JSON object "
                "with `path`.",
                code="unsupported_body",
            )
    except ValidationError as error:
        raise invalid_request_from(error) from error


def _upload(form: FormData) -> tuple[UploadFile, Labels]:
    upload = form.get("file")
    if not isinstance(upload, UploadFile):
        raise InvalidRequest("Send the archive in the field `file`.", param="file")
    given = {key: value for key, value in form.items() if key != "file" and value != ""}
    fields = _Fields.model_validate(given)
    return upload, Labels(fields.name, fields.description)
