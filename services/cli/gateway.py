"""The gateway's admin and knowledge routes, as the command line calls them."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import orjson
from pydantic import ValidationError

from services.chassis.errors import InvalidRequest, NotFound
from services.chassis.http import Peer
from services.cli.failures import CommandError
from services.contracts.adapters import (
    CONFIG_FILE,
    MANIFEST_FILE,
    WEIGHTS_FILE,
    AdapterVersion,
)
from services.contracts.assistants import (
    Assistant,
    AssistantWrite,
    Profile,
    RetrievalPolicy,
)
from services.contracts.costs import SpentPage
from services.contracts.jobs import ROWS_FILE, TrainingJob, TrainingJobPage, TrainingSpec
from services.contracts.knowledge import DocumentPage, SearchResult, UploadReceipt
from services.contracts.wire import Wire

_Shape = TypeVar("_Shape", bound=Wire)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway, called with one key."""

    peer: Peer

    async def upload(self, collection: str, files: Iterable[Path]) -> UploadReceipt:
        """Upload files as documents named by their file names."""
        form = aiohttp.FormData(quote_fields=False)
        for file in files:
            form.add_field("files", io.BytesIO(file.read_bytes()), filename=file.name)
        path = f"/v1/collections/{quote(collection)}/files"
        async with self.peer.stream("POST", path, data=form, content_type=None) as reply:
            return UploadReceipt.received(await reply.read())

    async def documents(self, collection: str, after: str | None = None) -> DocumentPage:
        """List a page of a collection's documents."""
        params = {"after": after} if after else None
        path = f"/v1/collections/{quote(collection)}/documents"
        return DocumentPage.received(await self.peer.json("GET", path, params=params))

    async def holds(self, collection: str, document_id: str) -> bool:
        """Tell whether a collection holds a document; what is no id at all is no document."""
        path = f"/v1/collections/{quote(collection)}/documents/{quote(document_id, safe='')}"
        try:
            async with self.peer.stream("GET", path):
                return True
        except (InvalidRequest, NotFound):
            return False

    async def search(self, collection: str, query: str, top_k: int, **fields: Any) -> SearchResult:
        """Search one collection; `fields` are further ones of `SearchQuery`."""
        path = f"/v1/collections/{quote(collection)}/search"
        body = {"query": query, "top_k": top_k, **fields}
        return SearchResult.received(await self.peer.json("POST", path, body=body))

    async def register(self, folder: Path) -> AdapterVersion:
        """Register an adapter directory; the same content again gives the same version."""
        form = aiohttp.FormData()
        form.add_field("file", _archive(folder), filename=f"{folder.name}.tar.gz")
        form.add_field("name", folder.name)
        async with self.peer.stream("POST", "/admin/adapters", data=form, content_type=None) as r:
            return AdapterVersion.received(await r.read())

    async def read(self, path: str, shape: type[_Shape]) -> _Shape:
        """Read one of the admin routes."""
        return shape.received(await self.peer.json("GET", path))

    async def to_follow(self, name: str) -> Assistant:
        """Read an assistant of which something new is to be made.

        Raises:
            CommandError: its prompt or policy has a field of a later version, which would be lost.
        """
        told = await self.peer.json("GET", f"/admin/assistants/{quote(name, safe='')}")
        found = Assistant.received(told)
        known(Profile, told["stable"]["profile"])
        if told["stable"]["retrieval"] is not None:
            known(RetrievalPolicy, told["stable"]["retrieval"])
        return found

    async def put_assistant(self, name: str, spec: AssistantWrite) -> Assistant:
        """Bind an assistant; returns once the new release serves."""
        body = orjson.loads(spec.model_dump_json())
        path = f"/admin/assistants/{quote(name)}"
        return Assistant.received(await self.peer.json("PUT", path, body=body))

    async def train(self, rows: bytes, spec: TrainingSpec) -> TrainingJob:
        """Queue a training."""
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("file", io.BytesIO(rows), filename=ROWS_FILE)
        form.add_field("spec", spec.model_dump_json())
        path = "/admin/training-jobs"
        async with self.peer.stream("POST", path, data=form, content_type=None) as reply:
            return TrainingJob.received(await reply.read())

    async def training_jobs(self) -> TrainingJobPage:
        """List the newest training jobs."""
        reply = await self.peer.json("GET", "/admin/training-jobs")
        return TrainingJobPage.received(reply)

    async def costs(self, days: float) -> SpentPage:
        """Add up what the answers of the last days cost."""
        params = {"since": str(max(time.time() - days * 86_400, 0.0))}
        return SpentPage.received(await self.peer.json("GET", "/admin/costs", params=params))

    async def cancel_training(self, job_id: str) -> TrainingJob:
        """Cancel a training."""
        path = f"/admin/training-jobs/{quote(job_id)}/cancel"
        return TrainingJob.received(await self.peer.json("POST", path))

    async def keys(self, method: str, path: str = "", body: Any = None) -> Any:
        """Call one of the key routes."""
        return await self.peer.json(method, f"/admin/keys{path}", body=body)

    async def metrics(self) -> str:
        """Read the gateway's metrics."""
        async with self.peer.stream("GET", "/metrics") as reply:
            return (await reply.read()).decode()


def known(shape: type[_Shape], told: Any) -> _Shape:
    """Read what will be sent back, every field of which must be known.

    Raises:
        CommandError: naming one that is not.
    """
    try:
        return shape.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] != "extra_forbidden":
            raise
        raise CommandError(
            f"The gateway knows {'.'.join(map(str, first['loc']))!r}, which this command does not "
            "and would lose; bring the command line up to the gateway's version."
        ) from error


def _archive(folder: Path) -> io.BytesIO:
    """Pack the three files of an adapter directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name in (CONFIG_FILE, WEIGHTS_FILE, MANIFEST_FILE):
            if (folder / name).exists():
                archive.add(folder / name, arcname=name)
    buffer.seek(0)
    return buffer
