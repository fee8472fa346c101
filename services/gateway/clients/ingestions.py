"""The retriever's ingestion jobs, always for one tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

from services.contracts.ingestion import (
    EmbeddingChange,
    IndexBuild,
    Ingestion,
    IngestionAction,
    IngestionItemPage,
    IngestionPage,
    IngestionReceipt,
    SyncPlan,
)
from services.contracts.wire import Wire
from services.gateway.clients.retriever import Retriever, identity_headers
from services.gateway.registry.snapshot import Caller

_Reply = TypeVar("_Reply", bound=Wire)


@dataclass(frozen=True, slots=True)
class Ingestions:
    """Speaks to the retriever about jobs."""

    retriever: Retriever

    async def start(
        self, caller: Caller, collection: str, content_type: str, body: AsyncIterator[bytes]
    ) -> IngestionReceipt:
        """Start a job from a form or a manifest, passed on piece by piece."""
        path = f"/collections/{quote(collection)}/ingestions"
        payload = await self.retriever.relay(caller, path, content_type, body)
        return IngestionReceipt.received(payload)

    async def plan(
        self, caller: Caller, collection: str, content_type: str, body: AsyncIterator[bytes]
    ) -> SyncPlan:
        """Ask what a manifest would change."""
        path = f"/collections/{quote(collection)}/ingestions/plan"
        payload = await self.retriever.relay(caller, path, content_type, body)
        return SyncPlan.received(payload)

    async def send_files(
        self, caller: Caller, id_: str, content_type: str, body: AsyncIterator[bytes]
    ) -> Ingestion:
        """Pass bytes on that a sync awaits."""
        payload = await self.retriever.relay(caller, _path(id_, "files"), content_type, body)
        return Ingestion.received(payload)

    async def page(self, caller: Caller, params: Mapping[str, str]) -> IngestionPage:
        """List jobs."""
        return await self._call(caller, "GET", "/ingestions", IngestionPage, params=params)

    async def read(self, caller: Caller, id_: str) -> Ingestion:
        """Read one job."""
        return await self._call(caller, "GET", _path(id_), Ingestion)

    async def items(self, caller: Caller, id_: str, params: Mapping[str, str]) -> IngestionItemPage:
        """List a job's files."""
        path = _path(id_, "items")
        return await self._call(caller, "GET", path, IngestionItemPage, params=params)

    async def act(self, caller: Caller, id_: str, action: IngestionAction) -> Ingestion:
        """Pause, resume, cancel or retry a job."""
        return await self._call(caller, "POST", _path(id_, action), Ingestion)

    async def rebuild_index(self, caller: Caller) -> IndexBuild:
        """Have the index made anew."""
        return await self._call(caller, "POST", "/index/rebuild", IndexBuild)

    async def index(self, caller: Caller) -> IndexBuild:
        """Ask how far that is."""
        return await self._call(caller, "GET", "/index", IndexBuild)

    async def embedding_change(self, caller: Caller) -> EmbeddingChange:
        """Ask how far collections are on their way to another embedding model."""
        return await self._call(caller, "GET", "/index/embedding", EmbeddingChange)

    async def _call(
        self,
        caller: Caller,
        method: str,
        path: str,
        reply: type[_Reply],
        *,
        params: Mapping[str, str] | None = None,
    ) -> _Reply:
        headers = identity_headers(caller)
        got = await self.retriever.peer.json(method, path, headers=headers, params=params)
        return reply.received(got)


def _path(id_: str, *parts: str) -> str:
    return "/".join(("/ingestions", *(quote(part, safe="") for part in (id_, *parts))))
