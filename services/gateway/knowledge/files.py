"""Uploaded files: bytes into the artifact store, rows into the registry, and out again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import BinaryIO

import structlog

from services.chassis.artifacts import ArtifactStore
from services.chassis.errors import InvalidRequest, NotFound, PayloadTooLarge, ServiceError
from services.contracts.files import FileObject, FileWrite
from services.gateway.clients.retriever import Retriever
from services.gateway.registry import files, vector_store_files
from services.gateway.registry.changes import Actor, Registry
from services.gateway.registry.file_claims import INDEXER
from services.gateway.registry.snapshot import Caller

AT_ONCE_SECONDS = 1.0
"""How long a caller who removes a file waits for its document to go."""

_log = structlog.get_logger(__name__)


def content_key(file_id: str) -> str:
    """Name the artifact that holds a file's bytes."""
    return f"files/{file_id}/content"


@dataclass(frozen=True, slots=True)
class FileDesk:
    """Takes files in and hands them out."""

    registry: Registry
    artifacts: ArtifactStore
    retriever: Retriever
    max_bytes: int
    max_tenant_bytes: int

    async def store(
        self, caller: Caller, filename: str, source: BinaryIO, write: FileWrite
    ) -> FileObject:
        """Keep a file. It exists once its bytes are stored; a process that dies leaves nothing.

        Raises:
            InvalidRequest: `file_empty`.
            PayloadTooLarge: it is larger than allowed.
            FileSpaceFull: the tenant's files would be larger than allowed.
        """
        size = await asyncio.to_thread(_size_of, source)
        if size == 0:
            raise InvalidRequest(
                "The file is empty; send one with content.", code="file_empty", param="file"
            )
        if size > self.max_bytes:
            raise PayloadTooLarge(
                f"The file is larger than {self.max_bytes} bytes; split it.", param="file"
            )
        actor = Actor(caller.tenant, caller.key_id)
        new = files.NewFile(filename, write.purpose, size, write.expires_after_seconds)
        file_id = await files.begin(self.registry, actor, new, self.max_tenant_bytes)
        await self.artifacts.put_file(content_key(file_id), source)
        return await files.keep(self.registry, actor, file_id)

    async def content(
        self, caller: Caller, file_id: str
    ) -> tuple[FileObject, AsyncIterator[bytes]]:
        """Hand a file out, its bytes piece by piece.

        Raises:
            UnknownFile: when the tenant has no such file.
        """
        file = await files.one(self.registry, caller.tenant, file_id)
        return file, self.artifacts.blocks(content_key(file_id))

    async def delete(self, caller: Caller, file_id: str) -> None:
        """Remove a file, from every vector store too; no search sees it afterwards.

        Raises:
            UnknownFile: when the tenant has no such file.
        """
        async with self.registry.change(Actor(caller.tenant, caller.key_id)) as change:
            await files.remove(change, file_id)
            stores = await vector_store_files.remove_everywhere(change, file_id)
        for store in stores:
            await forget_document(self.retriever, caller, store, file_id)
        await self._forget(caller.tenant, file_id)

    async def sweep(self) -> None:
        """Remove the bytes of files that have expired, were deleted, or never came in whole."""
        for tenant, file_id in await files.due(self.registry):
            async with self.registry.change(Actor(tenant, INDEXER)) as change:
                await vector_store_files.remove_everywhere(change, file_id)
            await self._forget(tenant, file_id)

    async def _forget(self, tenant: str, file_id: str) -> None:
        await self.artifacts.delete_folder(f"files/{file_id}")
        await files.forget(self.registry, Actor(tenant, INDEXER), file_id)


async def forget_document(retriever: Retriever, caller: Caller, store: str, file_id: str) -> None:
    """Remove a file's document at once where that is possible; the indexer does it in any case.

    The retriever lets no one delete a document while it is written.
    """
    try:
        async with asyncio.timeout(AT_ONCE_SECONDS):
            await retriever.delete_document(caller, store, file_id)
    except NotFound:
        return
    except (ServiceError, TimeoutError):
        _log.info("document.removed_later", store=store, file=file_id)


def _size_of(source: BinaryIO) -> int:
    size = source.seek(0, os.SEEK_END)
    source.seek(0)
    return size
