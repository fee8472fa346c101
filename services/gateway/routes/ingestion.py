"""Ingestion jobs, passed on to the retriever in the name of the caller's tenant."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from services.chassis.errors import InvalidRequest
from services.contracts.ingestion import (
    EmbeddingChange,
    IndexBuild,
    Ingestion,
    IngestionAction,
    IngestionItemPage,
    IngestionPage,
    IngestionReceipt,
    ItemState,
    SyncManifest,
    SyncPlan,
)
from services.contracts.knowledge import CollectionName
from services.gateway.clients.ingestions import Ingestions
from services.gateway.dependencies import (
    ActorDep,
    AttemptDep,
    Operator,
    Reader,
    ResourcesDep,
    Writer,
)
from services.gateway.registry.idempotency import once_elsewhere

router = APIRouter(tags=["ingestion"])

CollectionPath = Annotated[CollectionName, Path()]
IngestionId = Annotated[str, Path(pattern=r"^[a-z0-9-]{1,64}$")]

_FORM: dict[str, Any] = {
    "schema": {
        "type": "object",
        "required": ["files"],
        "properties": {
            "files": {"type": "array", "items": {"type": "string", "contentMediaType": "*/*"}},
            "id_prefix": {"type": "string"},
            "options": {"type": "string", "description": "JSON: source, metadata, groups"},
        },
    }
}
_MANIFEST: dict[str, Any] = {"schema": SyncManifest.model_json_schema()}


def _body(*, form: bool, manifest: bool) -> dict[str, Any]:
    content = {}
    if form:
        content["multipart/form-data"] = _FORM
    if manifest:
        content["application/json"] = _MANIFEST
    return {"requestBody": {"required": True, "content": content}}


@router.post(
    "/v1/collections/{collection}/ingestions",
    status_code=202,
    openapi_extra=_body(form=True, manifest=True),
)
async def start_ingestion(
    request: Request, resources: ResourcesDep, caller: Writer, collection: CollectionPath
) -> IngestionReceipt:
    """Take many files in as a job: a form with `files`, or a sync's manifest as JSON.

    What this has answered survives a crash. A sync's receipt names the files whose bytes are then
    sent to `/v1/ingestions/{id}/files`.
    """
    kind = _content_type(request)
    jobs = Ingestions(resources.retriever)
    return await jobs.start(caller, collection, kind, request.stream())


@router.post(
    "/v1/collections/{collection}/ingestions/plan", openapi_extra=_body(form=False, manifest=True)
)
async def plan_sync(
    request: Request, resources: ResourcesDep, caller: Writer, collection: CollectionPath
) -> SyncPlan:
    """Say what a sync's manifest would change; nothing is changed."""
    kind = _content_type(request)
    jobs = Ingestions(resources.retriever)
    return await jobs.plan(caller, collection, kind, request.stream())


@router.post("/v1/ingestions/{ingestion_id}/files", openapi_extra=_body(form=True, manifest=False))
async def send_files(
    request: Request, resources: ResourcesDep, caller: Writer, ingestion_id: IngestionId
) -> Ingestion:
    """Send bytes that a sync awaits, each file named by its document's id."""
    kind = _content_type(request)
    jobs = Ingestions(resources.retriever)
    return await jobs.send_files(caller, ingestion_id, kind, request.stream())


@router.get("/v1/ingestions")
async def list_ingestions(
    resources: ResourcesDep,
    caller: Reader,
    collection: CollectionName | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str | None, Query(max_length=64)] = None,
) -> IngestionPage:
    """List the tenant's ingestions, newest first; `after` is the last id of the page before."""
    params = _given(collection=collection, limit=limit, after=after)
    return await Ingestions(resources.retriever).page(caller, params)


@router.get("/v1/ingestions/{ingestion_id}")
async def get_ingestion(
    resources: ResourcesDep, caller: Reader, ingestion_id: IngestionId
) -> Ingestion:
    """Say how far an ingestion is: files done and failed, chunks, rate, time left."""
    return await Ingestions(resources.retriever).read(caller, ingestion_id)


@router.get("/v1/ingestions/{ingestion_id}/items")
async def list_items(
    resources: ResourcesDep,
    caller: Reader,
    ingestion_id: IngestionId,
    state: ItemState | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[int, Query(ge=-1)] = -1,
) -> IngestionItemPage:
    """List an ingestion's files with what became of each; `state=failed` says why they failed."""
    params = _given(state=state, limit=limit, after=after)
    return await Ingestions(resources.retriever).items(caller, ingestion_id, params)


@router.post("/v1/ingestions/{ingestion_id}/{action}")
async def act_on_ingestion(
    resources: ResourcesDep, caller: Writer, ingestion_id: IngestionId, action: IngestionAction
) -> Ingestion:
    """Pause, resume or cancel an ingestion, or try its failed files again."""
    return await Ingestions(resources.retriever).act(caller, ingestion_id, action)


@router.post("/admin/index/rebuild", status_code=202)
async def rebuild_index(
    resources: ResourcesDep, caller: Operator, actor: ActorDep, attempt: AttemptDep
) -> IndexBuild:
    """Make the index anew from the catalogue; the old one serves until the new one is complete."""
    act = partial(Ingestions(resources.retriever).rebuild_index, caller)
    return await once_elsewhere(
        resources.registry, actor, attempt, "rebuild the index", act, IndexBuild, status=202
    )


@router.get("/admin/index")
async def get_index(resources: ResourcesDep, caller: Operator) -> IndexBuild:
    """Say how far the making of a new index is."""
    return await Ingestions(resources.retriever).index(caller)


@router.get("/admin/index/embedding")
async def get_embedding_change(resources: ResourcesDep, caller: Operator) -> EmbeddingChange:
    """Say how far collections are on their way to the embedding model that runs."""
    return await Ingestions(resources.retriever).embedding_change(caller)


def _content_type(request: Request) -> str:
    given = request.headers.get("content-type", "")
    if not given.startswith(("multipart/form-data", "application/json")):
        raise InvalidRequest(
            "Send the files as multipart/form-data in the field `files`, or a manifest as JSON.",
            code="not_multipart",
        )
    return given


def _given(**params: str | int | None) -> dict[str, str]:
    return {name: str(value) for name, value in params.items() if value is not None}
