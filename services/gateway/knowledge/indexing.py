"""Files of vector stores into their collections, beside the requests.

Any gateway may take a file; a lease keeps the others away, and when a gateway dies its files are
taken again. Doing one twice changes nothing: the document is named after the file.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import orjson
import structlog
from prometheus_client import Counter

from services.chassis.artifacts import ArtifactStore
from services.chassis.errors import (
    InvalidRequest,
    NotFound,
    Overloaded,
    PayloadTooLarge,
    ServiceError,
    Unavailable,
    Unprocessable,
)
from services.contracts.knowledge import FileOutcome
from services.gateway.clients.retriever import Retriever
from services.gateway.knowledge.files import content_key
from services.gateway.knowledge.multipart import FileForm
from services.gateway.registry import file_claims, vector_stores
from services.gateway.registry.changes import Actor, Registry
from services.gateway.registry.file_claims import INDEXER, Claim, Verdict
from services.gateway.registry.snapshot import Caller
from services.gateway.registry.vector_stores import StoreLabel

RENEWALS_A_LEASE = 3
"""How often a lease is prolonged before it would end."""

_log = structlog.get_logger(__name__)

_UNSUPPORTED = frozenset({"file_type_unsupported"})
_LATER = frozenset({"ingestion_full", "index_unavailable"})
_OURS = frozenset({"file_timeout", "embedding_mismatch", "collection_not_found"})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, and how often, a file is tried."""

    lease_seconds: float
    retry_seconds: float
    attempts: int
    poll_seconds: float


@dataclass(frozen=True, slots=True)
class Indexer:
    """Does what is left to do with the files of vector stores."""

    registry: Registry
    artifacts: ArtifactStore
    retriever: Retriever
    patience: Patience
    outcomes: Counter
    _work: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Say that there is something to do, so that it need not be found by looking."""
        self._work.set()

    async def work(self) -> None:
        """Wait until there may be something to do, and do all of it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.patience.poll_seconds):
                await self._work.wait()
        self._work.clear()
        while (claim := await self._claim()) is not None:
            await self._do(claim)
        for tenant, store in await vector_stores.removed(self.registry):
            await self._remove_collection(tenant, store)

    async def _claim(self) -> Claim | None:
        return await file_claims.claim(self.registry, self.patience.lease_seconds)

    async def _do(self, claim: Claim) -> None:
        try:
            async with self._renewed(claim):
                if claim.todo == "index":
                    verdict = await self._index(claim)
                else:
                    await self._delete_document(claim)
                    verdict = Verdict("cancelled")
        except ServiceError as error:
            await self._fail(claim, error)
            return
        self.outcomes.labels("removed" if claim.todo == "remove" else verdict.status).inc()
        if claim.todo == "remove":
            await file_claims.drop(self.registry, claim)
        else:
            await file_claims.settle(self.registry, claim, verdict)

    async def _index(self, claim: Claim) -> Verdict:
        if claim.filename is None:
            return Verdict("failed", "server_error", "The file was deleted.")
        if claim.attempts > self.patience.attempts:
            return Verdict("failed", "server_error", "Indexing it was tried too often.")
        form = FileForm(
            fields={
                "document_id": claim.file_id,
                "metadata": orjson.dumps(dict(claim.attributes)).decode(),
            },
            filename=claim.filename,
            content=self.artifacts.blocks(content_key(claim.file_id)),
        )
        receipt = await self.retriever.upload(
            _as_tenant(claim.tenant), claim.store, form.content_type, form.body()
        )
        return _verdict_on(receipt.files[0])

    async def _delete_document(self, claim: Claim) -> None:
        with contextlib.suppress(NotFound):
            await self.retriever.delete_document(
                _as_tenant(claim.tenant), claim.store, claim.file_id
            )

    async def _fail(self, claim: Claim, error: ServiceError) -> None:
        """Try again later, unless it is the file's fault or was tried often enough."""
        away = isinstance(error, (Unavailable, Overloaded))
        _log.warning("file.not_indexed", file=claim.file_id, todo=claim.todo, code=error.code)
        hopeless = error.status < 500 or claim.attempts >= self.patience.attempts
        if claim.todo == "index" and hopeless and not away:
            theirs = isinstance(error, (InvalidRequest, PayloadTooLarge, Unprocessable))
            blame = "invalid_file" if theirs else "server_error"
            await file_claims.settle(self.registry, claim, Verdict("failed", blame, error.message))
            self.outcomes.labels("failed").inc()
            return
        await file_claims.postpone(
            self.registry, claim, self.patience.retry_seconds, counts=not away
        )
        self.outcomes.labels("postponed").inc()

    @contextlib.asynccontextmanager
    async def _renewed(self, claim: Claim) -> AsyncIterator[None]:
        """Keep the lease while the block runs."""
        pause = self.patience.lease_seconds / RENEWALS_A_LEASE

        async def renew() -> None:
            while True:
                await asyncio.sleep(pause)
                await file_claims.renew(self.registry, claim, self.patience.lease_seconds)

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing

    async def _remove_collection(self, tenant: str, store: StoreLabel) -> None:
        """Remove what is left of a vector store, unless its collection is another one by now."""
        caller = _as_tenant(tenant)
        with contextlib.suppress(NotFound):
            found = await self.retriever.collection(caller, store.id)
            if found.documents == 0 or found.created_at <= (store.removed_at or 0):
                await self.retriever.delete_collection(caller, store.id)
        await vector_stores.forget(self.registry, Actor(tenant, INDEXER), store.id)


def _as_tenant(tenant: str) -> Caller:
    """Speak for a tenant without any of its keys."""
    return Caller(INDEXER, tenant, frozenset(), (), None)


def _verdict_on(outcome: FileOutcome) -> Verdict:
    if outcome.outcome != "failed":
        return Verdict("completed")
    if outcome.code in _LATER:
        raise Unavailable(outcome.message or "The retriever is busy.", code=outcome.code)
    blame = "invalid_file"
    if outcome.code in _UNSUPPORTED:
        blame = "unsupported_file"
    elif outcome.code in _OURS:
        blame = "server_error"
    return Verdict("failed", blame, f"{outcome.message} ({outcome.code})")
