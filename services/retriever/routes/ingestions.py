"""Ingestion jobs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import FormData, UploadFile

from services.chassis.errors import InvalidRequest
from services.contracts.ingestion import (
    Ingestion,
    IngestionAction,
    IngestionItemPage,
    IngestionOptions,
    IngestionPage,
    IngestionReceipt,
    ItemState,
    SyncManifest,
    SyncPlan,
)
from services.contracts.knowledge import CollectionName
from services.retriever.dependencies import Borrowed, CallerOf
from services.retriever.errors import FilesMissing
from services.retriever.jobs.intake import SentFile
from services.retriever.resources import Resources
from services.retriever.uploading import bare_name

router = APIRouter(tags=["ingestions"])

MOST_FIELDS = 16
"""Form fields beside the files."""

_OPTIONS: TypeAdapter[IngestionOptions] = TypeAdapter(IngestionOptions)


@router.post("/collections/{collection}/ingestions", status_code=202)
async def start_ingestion(
    request: Request, resources: Borrowed, caller: CallerOf, collection: CollectionName
) -> IngestionReceipt:
    """Take files in as a job: a form with `files`, or a sync's manifest as JSON.

    Once this has answered, a killed process loses nothing of it. The form's `id_prefix` goes before
    each file's name; `options` is a JSON object with `source`, `metadata` and `allowed_groups`.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        manifest = _manifest(await request.body())
        return await resources.intake.sync(caller.tenant, collection, manifest)
    async with _form(request, resources) as form:
        prefix = form.get("id_prefix", "")
        lead = prefix if isinstance(prefix, str) else ""
        files = [
            SentFile(lead + bare_name(file.filename or ""), file.file, file.size or 0)
            for file in _files(form)
        ]
        options = _options(form.get("options"))
        return await resources.intake.upload(caller.tenant, collection, options, files)


@router.post("/collections/{collection}/ingestions/plan")
async def plan_sync(
    request: Request, resources: Borrowed, caller: CallerOf, collection: CollectionName
) -> SyncPlan:
    """Say what a sync's manifest would change; nothing is changed."""
    manifest = _manifest(await request.body())
    return await resources.intake.plan(caller.tenant, collection, manifest)


@router.post("/ingestions/{ingestion_id}/files")
async def send_files(
    request: Request, resources: Borrowed, caller: CallerOf, ingestion_id: str
) -> Ingestion:
    """Send bytes that a sync awaits: a form with `files`, each named by its document's id."""
    async with _form(request, resources) as form:
        files = [SentFile(file.filename or "", file.file, file.size or 0) for file in _files(form)]
        await resources.intake.receive(caller.tenant, ingestion_id, files)
    return await resources.intake.jobs.read(caller.tenant, ingestion_id)


@router.get("/ingestions")
async def list_ingestions(
    resources: Borrowed,
    caller: CallerOf,
    collection: CollectionName | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: str | None = None,
) -> IngestionPage:
    """List the tenant's ingestions, newest first."""
    found, has_more = await resources.intake.jobs.page(
        caller.tenant, collection, limit=limit, after=after
    )
    return IngestionPage(data=found, has_more=has_more)


@router.get("/ingestions/{ingestion_id}")
async def read_ingestion(resources: Borrowed, caller: CallerOf, ingestion_id: str) -> Ingestion:
    """Say how far an ingestion is."""
    return await resources.intake.jobs.read(caller.tenant, ingestion_id)


@router.get("/ingestions/{ingestion_id}/items")
async def list_items(
    resources: Borrowed,
    caller: CallerOf,
    ingestion_id: str,
    state: ItemState | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[int, Query(ge=-1)] = -1,
) -> IngestionItemPage:
    """List an ingestion's files by number, beginning after the number that is given."""
    items, has_more = await resources.intake.jobs.items(
        caller.tenant, ingestion_id, state=state, limit=limit, after=after
    )
    return IngestionItemPage(data=items, has_more=has_more)


@router.post("/ingestions/{ingestion_id}/{action}")
async def act_on_ingestion(
    resources: Borrowed, caller: CallerOf, ingestion_id: str, action: IngestionAction
) -> Ingestion:
    """Pause, resume or cancel an ingestion, or try its failed files again."""
    jobs = resources.intake.jobs
    acts = {
        "pause": jobs.pause,
        "resume": jobs.resume,
        "cancel": jobs.cancel,
        "retry": jobs.retry,
    }
    changed = await acts[action](caller.tenant, ingestion_id)
    resources.intake.workers.wake.set()
    return changed


@contextlib.asynccontextmanager
async def _form(request: Request, resources: Resources) -> AsyncIterator[FormData]:
    most = resources.settings.jobs.max_upload_files
    async with request.form(max_files=most, max_fields=MOST_FIELDS) as form:
        if not _files(form):
            raise FilesMissing("Send one or more files in the form field `files`.", param="files")
        yield form


def _files(form: FormData) -> list[UploadFile]:
    return [file for file in form.getlist("files") if isinstance(file, UploadFile)]


def _options(given: UploadFile | str | None) -> IngestionOptions:
    if given is None:
        return IngestionOptions()
    try:
        return _OPTIONS.validate_json(given if isinstance(given, str) else b"")
    except ValidationError as error:
        raise _malformed(error, "options") from error


def _manifest(body: bytes) -> SyncManifest:
    try:
        return SyncManifest.model_validate(orjson.loads(body))
    except ValidationError as error:
        raise _malformed(error, None) from error
    except ValueError as error:
        raise InvalidRequest(
            "Send a form with `files`, or a sync's manifest as a JSON object."
        ) from error


def _malformed(error: ValidationError, where: str | None) -> InvalidRequest:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"]) or where or "body"
    return InvalidRequest(f"{name}: {first['msg']}.", param=where or name)
