"""The gateway's ingestion routes, as the command line calls them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson

from services.chassis.errors import (
    Overloaded,
    Unavailable,
    UpstreamFailed,
    UpstreamTimeout,
)
from services.chassis.http import Peer
from services.contracts.ingestion import (
    EmbeddingChange,
    IndexBuild,
    Ingestion,
    IngestionAction,
    IngestionItem,
    IngestionItemPage,
    IngestionPage,
    IngestionReceipt,
    SyncManifest,
    SyncPlan,
)

ATTEMPTS = 5
"""How often bytes are sent when the gateway or the retriever is away for a moment."""

PAUSE_SECONDS = 2.0
"""How long to wait before the next attempt, unless the server says otherwise."""

_AWAY = (Unavailable, UpstreamFailed, UpstreamTimeout)


@dataclass(frozen=True, slots=True)
class Ingestions:
    """A gateway's ingestions, called with one key."""

    peer: Peer

    async def plan(self, collection: str, manifest: SyncManifest) -> SyncPlan:
        """Ask what a manifest would change."""
        path = f"/v1/collections/{quote(collection)}/ingestions/plan"
        return SyncPlan.received(await self._post(path, manifest))

    async def sync(self, collection: str, manifest: SyncManifest) -> IngestionReceipt:
        """Start a sync."""
        path = f"/v1/collections/{quote(collection)}/ingestions"
        return IngestionReceipt.received(await self._post(path, manifest))

    async def send(self, id_: str, files: Mapping[str, Path]) -> None:
        """Send bytes; when the server has no room for them yet, wait until it has.

        Raises:
            ServiceError: the server refuses them, or stays away.
        """
        left = ATTEMPTS
        while True:
            try:
                await self._send(id_, files)
            except Overloaded as error:
                await asyncio.sleep(error.retry_after_seconds or PAUSE_SECONDS)
            except _AWAY:
                left -= 1
                if not left:
                    raise
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return

    async def page(self, collection: str | None = None) -> IngestionPage:
        """List the newest jobs."""
        params = {"collection": collection} if collection else None
        return IngestionPage.received(await self.peer.json("GET", "/v1/ingestions", params=params))

    async def read(self, id_: str) -> Ingestion:
        """Read a job."""
        return Ingestion.received(await self.peer.json("GET", f"/v1/ingestions/{quote(id_)}"))

    async def act(self, id_: str, action: IngestionAction) -> Ingestion:
        """Pause, resume, cancel or retry a job."""
        path = f"/v1/ingestions/{quote(id_)}/{action}"
        return Ingestion.received(await self.peer.json("POST", path))

    async def failed(self, id_: str) -> list[IngestionItem]:
        """List the first files that failed."""
        path = f"/v1/ingestions/{quote(id_)}/items"
        page = await self.peer.json("GET", path, params={"state": "failed", "limit": "20"})
        return IngestionItemPage.received(page).data

    async def watch(self, id_: str, every_seconds: float) -> AsyncIterator[Ingestion]:
        """Read a job again and again until it rests; a server that is away is waited for."""
        while True:
            try:
                job = await self.read(id_)
            except _AWAY:
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            yield job
            if job.status not in ("queued", "running"):
                return
            await asyncio.sleep(every_seconds)

    async def index(self, *, rebuild: bool = False) -> IndexBuild:
        """Ask for a new index, or how far it is."""
        method, path = ("POST", "/admin/index/rebuild") if rebuild else ("GET", "/admin/index")
        return IndexBuild.received(await self.peer.json(method, path))

    async def embedding_change(self) -> EmbeddingChange:
        """Say how far collections are on their way to the embedding model that runs."""
        reply = await self.peer.json("GET", "/admin/index/embedding")
        return EmbeddingChange.received(reply)

    async def _send(self, id_: str, files: Mapping[str, Path]) -> None:
        form = aiohttp.FormData(quote_fields=False)
        for name, path in files.items():
            form.add_field("files", io.BytesIO(path.read_bytes()), filename=name)
        path_ = f"/v1/ingestions/{quote(id_)}/files"
        async with self.peer.stream("POST", path_, data=form, content_type=None) as reply:
            await reply.read()

    async def _post(self, path: str, manifest: SyncManifest) -> Any:
        return await self.peer.json("POST", path, body=orjson.loads(manifest.model_dump_json()))
