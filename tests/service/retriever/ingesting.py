"""Ingestion jobs as a client asks for them."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from tests.service.retriever.retriever import Client, Reply

DEADLINE_SECONDS = 180
ENDED = ("succeeded", "failed", "cancelled")


def form_of(files: Sequence[tuple[str, bytes]], **fields: Any) -> aiohttp.FormData:
    """A form with files; fields that are no text are sent as JSON."""
    form = aiohttp.FormData(quote_fields=False)
    for name, content in files:
        form.add_field("files", content, filename=name)
    for name, value in fields.items():
        form.add_field(name, value if isinstance(value, str) else json.dumps(value))
    return form


async def ingest(client: Client, files: Sequence[tuple[str, bytes]], **fields: Any) -> Reply:
    """Start an ingestion of files."""
    form = form_of(files, **fields)
    return await client.call("POST", "/collections/docs/ingestions", data=form)


def manifest(files: Mapping[str, bytes], source: str = "disk", **fields: Any) -> dict[str, Any]:
    """A manifest of a folder."""
    entries = [
        {"id": name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in files.items()
    ]
    return {"source": source, "files": entries, **fields}


async def start_sync(client: Client, files: Mapping[str, bytes], **fields: Any) -> Reply:
    """Send a manifest."""
    return await client.call("POST", "/collections/docs/ingestions", manifest(files, **fields))


async def send(client: Client, id_: str, files: Mapping[str, bytes]) -> Reply:
    """Send bytes that a sync awaits."""
    return await client.call("POST", f"/ingestions/{id_}/files", data=form_of([*files.items()]))


async def synced(client: Client, files: Mapping[str, bytes], **fields: Any) -> Any:
    """Bring a collection in step with a folder, and return the job when it has ended."""
    started = await start_sync(client, files, **fields)
    assert started.status == 202, started.body
    needed = {name: files[name] for name in started.body["needed"]}
    if needed:
        assert (await send(client, started.body["id"], needed)).status == 200
    return await ended(client, started.body["id"])


async def ended(client: Client, id_: str) -> Any:
    """Wait until a job has ended, and return it."""
    return await reached(client, id_, *ENDED)


async def reached(client: Client, id_: str, *statuses: str) -> Any:
    """Wait until a job has one of the statuses, and return it."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            job = (await client.call("GET", f"/ingestions/{id_}")).body
            if job["status"] in statuses:
                return job
            await asyncio.sleep(0.02)


async def act(client: Client, id_: str, action: str) -> Reply:
    """Pause, resume, cancel or retry a job."""
    return await client.call("POST", f"/ingestions/{id_}/{action}")


async def items(client: Client, id_: str, **params: str) -> list[Any]:
    """List a job's items."""
    page = await client.call("GET", f"/ingestions/{id_}/items", **params)
    data: list[Any] = page.body["data"]
    return data


async def stored(client: Client) -> list[str]:
    """List the ids of a collection's documents."""
    page = await client.call("GET", "/collections/docs/documents", limit="1000")
    return [document["id"] for document in page.body["data"]] if page.status == 200 else []
