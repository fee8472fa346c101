"""A retriever without an index: it keeps documents, answers searches as told, notes every call."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect

from services.chassis.credentials import require_shared_key
from services.chassis.errors import NotFound, ServiceError, install_error_handlers
from services.contracts.ingestion import IndexBuild
from services.contracts.knowledge import (
    CURATOR_HEADER,
    GROUPS_HEADER,
    TENANT_HEADER,
    Collection,
    CollectionPage,
    CollectionSearch,
    Deleted,
    DocumentPage,
    DocumentReceipt,
    DocumentText,
    DocumentWrite,
    FileOutcome,
    Passage,
    SearchResult,
    SearchTimings,
    Span,
    UploadReceipt,
)

API_KEY = "the-key-between-gateway-and-retriever"


def passage(text: str, **fields: Any) -> Passage:
    """Make a passage; only what a test is about needs to be said."""
    defaults: dict[str, Any] = {
        "collection": "handbook",
        "document_id": "doc-1",
        "chunk": 0,
        "title": "Handbook",
        "uri": "https://example.com/handbook",
        "headings": [],
        "page": None,
        "span": Span(start=0, end=len(text)),
        "score": 0.5,
        "similarity": 0.9,
        "metadata": {},
    }
    return Passage(text=text, **{**defaults, **fields})


@dataclass(frozen=True, slots=True)
class Call:
    """One request that reached the fake."""

    method: str
    path: str
    raw_path: str
    """As it stood on the wire, percent-encoding included."""
    tenant: str | None
    groups: list[str]
    curator: bool
    params: dict[str, str]


@dataclass(slots=True)
class FakeRetriever:
    """The fake's state and knobs."""

    passages: list[Passage] = field(default_factory=list)
    """What every search finds, cut to the `top_k` that was asked for."""
    failure: ServiceError | None = None
    """Raised by every request while it is set."""
    delay_seconds: float = 0.0
    """How long every request waits before it is answered."""
    unknown_collections: set[str] = field(default_factory=set)
    """Searching one of these is a 404."""
    corpus_revision: int = 1
    answerability: float | None = None
    """What every search estimates."""
    calls: list[Call] = field(default_factory=list)
    searches: list[CollectionSearch] = field(default_factory=list)
    uploaded: list[bytes] = field(default_factory=list)
    """The raw bodies of bulk uploads that came through whole."""
    broken_uploads: int = 0
    builds: int = 0
    """How often a new index was asked for."""
    documents: dict[tuple[str, str, str], DocumentText] = field(default_factory=dict)
    """By tenant, collection and id."""

    @property
    def app(self) -> FastAPI:
        """The fake as an app, to be served by `loopback.running`."""
        app = FastAPI()
        install_error_handlers(app)
        _add_search(app, self)
        _add_collections(app, self)
        _add_documents(app, self)
        _add_files(app, self)
        return app

    async def arrive(self, request: Request) -> str:
        """Note a call, do what the knobs say, and return the tenant."""
        require_shared_key(request, API_KEY)
        groups = request.headers.get(GROUPS_HEADER, "")
        tenant = request.headers.get(TENANT_HEADER)
        self.calls.append(
            Call(
                request.method,
                request.url.path,
                request.scope["raw_path"].decode(),
                tenant,
                [unquote(group) for group in groups.split(",") if group],
                request.headers.get(CURATOR_HEADER) == "yes",
                dict(request.query_params),
            )
        )
        await asyncio.sleep(self.delay_seconds)
        if self.failure is not None:
            raise self.failure
        return unquote(tenant or "")

    def of(self, tenant: str, collection: str | None = None) -> list[DocumentText]:
        """List a tenant's documents by id."""
        return [
            document
            for (owner, name, _), document in sorted(self.documents.items())
            if owner == tenant and collection in (None, name)
        ]


def _add_search(app: FastAPI, fake: FakeRetriever) -> None:
    @app.post("/search")
    async def search(request: Request, search: CollectionSearch) -> SearchResult:
        await fake.arrive(request)
        fake.searches.append(search)
        for name in search.collections:
            if name in fake.unknown_collections:
                raise NotFound(f"There is no collection {name!r}.", code="collection_not_found")
        found = [
            p for p in fake.passages if search.min_score is None or p.similarity >= search.min_score
        ]
        return SearchResult(
            data=found[: search.top_k],
            corpus_revision=fake.corpus_revision,
            answerability=fake.answerability,
            timings=SearchTimings(embed_ms=1.0, search_ms=1.0, total_ms=2.0),
        )


def _add_collections(app: FastAPI, fake: FakeRetriever) -> None:
    def described(tenant: str, name: str) -> Collection:
        documents = fake.of(tenant, name)
        if not documents:
            raise NotFound(f"There is no collection {name!r}.", code="collection_not_found")
        return Collection(
            id=name,
            documents=len(documents),
            chunks=len(documents),
            embedding_fingerprint="0" * 12,
            created_at=1,
        )

    @app.get("/collections")
    async def collections(request: Request) -> CollectionPage:
        tenant = await fake.arrive(request)
        names = sorted({document.collection for document in fake.of(tenant)})
        return CollectionPage(data=[described(tenant, name) for name in names])

    @app.get("/collections/{name}")
    async def collection(request: Request, name: str) -> Collection:
        return described(await fake.arrive(request), name)

    @app.post("/index/rebuild")
    async def rebuild(request: Request) -> IndexBuild:
        await fake.arrive(request)
        fake.builds += 1
        return IndexBuild(status="building", of=fake.builds)

    @app.delete("/collections/{name}")
    async def delete(request: Request, name: str) -> Deleted:
        tenant = await fake.arrive(request)
        described(tenant, name)
        for document in fake.of(tenant, name):
            del fake.documents[tenant, name, document.id]
        return Deleted(id=name, object="collection")


def _add_documents(app: FastAPI, fake: FakeRetriever) -> None:
    def held(tenant: str, name: str, id_: str) -> DocumentText:
        if (tenant, name, id_) not in fake.documents:
            raise NotFound(f"There is no document {id_!r}.", code="document_not_found")
        return fake.documents[tenant, name, id_]

    @app.get("/collections/{name}/documents")
    async def listed(
        request: Request, name: str, limit: int = 100, after: str | None = None
    ) -> DocumentPage:
        tenant = await fake.arrive(request)
        known = [d for d in fake.of(tenant, name) if after is None or d.id > after]
        data = known[:limit]
        return DocumentPage.model_validate(
            {
                "data": [d.model_dump(exclude={"text"}) for d in data],
                "first_id": data[0].id if data else None,
                "last_id": data[-1].id if data else None,
                "has_more": len(known) > limit,
            }
        )

    @app.get("/collections/{name}/documents/{id_}")
    async def get(request: Request, name: str, id_: str) -> DocumentText:
        return held(await fake.arrive(request), name, id_)

    @app.put("/collections/{name}/documents/{id_}")
    async def put(request: Request, name: str, id_: str, write: DocumentWrite) -> DocumentReceipt:
        tenant = await fake.arrive(request)
        digest = hashlib.sha256(write.model_dump_json().encode()).hexdigest()
        before = fake.documents.get((tenant, name, id_))
        document = DocumentText(
            id=id_,
            collection=name,
            content_hash=digest,
            chunks=1,
            characters=len(write.text),
            created_at=1,
            updated_at=1,
            **dict(write),
        )
        fake.documents[tenant, name, id_] = document
        same = before is not None and before.content_hash == digest
        return DocumentReceipt.model_validate(
            document.model_dump(exclude={"text"})
            | {"outcome": "created" if before is None else "unchanged" if same else "replaced"}
        )

    @app.delete("/collections/{name}/documents/{id_}")
    async def delete(request: Request, name: str, id_: str) -> Deleted:
        tenant = await fake.arrive(request)
        held(tenant, name, id_)
        del fake.documents[tenant, name, id_]
        return Deleted(id=id_, object="collection.document")


def _add_files(app: FastAPI, fake: FakeRetriever) -> None:
    @app.post("/collections/{name}/files", response_model=None)
    async def upload(request: Request, name: str) -> UploadReceipt | Response:
        await fake.arrive(request)
        try:
            body = await request.body()
        except ClientDisconnect:
            fake.broken_uploads += 1
            return Response(status_code=400)
        fake.uploaded.append(body)
        async with request.form() as form:
            names = [f.filename or "" for f in form.getlist("files") if not isinstance(f, str)]
            prefix = form.get("id_prefix")
        lead = prefix if isinstance(prefix, str) else ""
        return UploadReceipt(
            collection=name,
            files=[FileOutcome(filename=n, document_id=lead + n, outcome="created") for n in names],
            failed=0,
        )
