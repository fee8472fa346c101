"""Files in vector stores: one by one and in batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from services.chassis.errors import InvalidRequest
from services.contracts.vector_stores import (
    BatchCreate,
    FileAttach,
    FileBatch,
    FileContent,
    FileStatus,
    TextContent,
    VectorStoreFile,
)
from services.gateway.clients.retriever import Retriever
from services.gateway.knowledge.files import forget_document
from services.gateway.knowledge.indexing import Indexer
from services.gateway.knowledge.stores import StoreDesk, refuse_static_chunks
from services.gateway.registry import file_batches, files, vector_store_files, vector_stores
from services.gateway.registry.changes import Actor, Registry
from services.gateway.registry.file_batches import Batch
from services.gateway.registry.files import Order
from services.gateway.registry.paging import Page
from services.gateway.registry.snapshot import Caller
from services.gateway.registry.vector_store_files import Attachment
from services.gateway.registry.vector_stores import counts_of


@dataclass(frozen=True, slots=True)
class AttachmentDesk:
    """Puts files into vector stores and takes them out; the indexer does what takes long."""

    registry: Registry
    retriever: Retriever
    indexer: Indexer
    stores: StoreDesk

    async def attach(self, caller: Caller, store: str, write: FileAttach) -> VectorStoreFile:
        """Put a file into a vector store, to be indexed beside the requests.

        Raises:
            UnknownStore: the tenant has no such vector store.
            UnknownFile: the tenant has no such file.
            StoreFull: the store holds as many files as it may.
        """
        await self._attach(caller, store, [write], batch=False)
        return await self.one(caller, store, write.file_id)

    async def one(self, caller: Caller, store: str, file_id: str) -> VectorStoreFile:
        """Describe a file of a vector store.

        Raises:
            UnknownStoreFile: the store has no such file, or does not exist.
        """
        return await vector_store_files.one(self.registry, caller.tenant, store, file_id)

    async def listed(
        self, caller: Caller, store: str, page: Page, order: Order, status: FileStatus | None
    ) -> tuple[Sequence[VectorStoreFile], bool]:
        """List a vector store's files by age, and tell whether there are more."""
        await self.stores.require(caller, store)
        return await vector_store_files.listed(
            self.registry, caller.tenant, store, page, order=order, status=status
        )

    async def set_attributes(
        self, caller: Caller, store: str, file_id: str, attributes: dict[str, str | bool | float]
    ) -> VectorStoreFile:
        """Give a file other attributes; searches see them once it is indexed anew."""
        await self.one(caller, store, file_id)
        async with self.registry.change(_actor(caller)) as change:
            await vector_store_files.wish(
                change, store, [file_id], todo="index", attributes=attributes
            )
        self.indexer.wake()
        return await self.one(caller, store, file_id)

    async def remove(self, caller: Caller, store: str, file_id: str) -> None:
        """Take a file out of a vector store; no search sees it afterwards."""
        await self.one(caller, store, file_id)
        async with self.registry.change(_actor(caller)) as change:
            await vector_store_files.wish(change, store, [file_id], todo="remove")
            await change.record("vector_store.file_removed", None, store, {"file": file_id})
        await forget_document(self.retriever, caller, store, file_id)
        self.indexer.wake()

    async def content(self, caller: Caller, store: str, file_id: str) -> FileContent:
        """Read the text that was made of a file; once it is indexed, searches find it in there."""
        file = await self.one(caller, store, file_id)
        names = await files.names(self.registry, caller.tenant, [file_id])
        document = await self.retriever.document(caller, store, file_id)
        return FileContent(
            file_id=file_id,
            filename=names.get(file_id, file_id),
            attributes=file.attributes,
            data=[TextContent(text=document.text)],
        )

    async def open_batch(self, caller: Caller, store: str, write: BatchCreate) -> FileBatch:
        """Put many files into a vector store; all or none are taken."""
        batch = await self._attach(caller, store, _files_of(write), batch=True)
        assert batch is not None
        return await self._counted(caller, batch)

    async def batch(self, caller: Caller, store: str, batch_id: str) -> FileBatch:
        """Describe how far a batch is."""
        found = await file_batches.one(self.registry, caller.tenant, store, batch_id)
        return await self._counted(caller, found)

    async def batch_files(
        self,
        caller: Caller,
        store: str,
        batch_id: str,
        page: Page,
        order: Order,
        status: FileStatus | None,
    ) -> tuple[Sequence[VectorStoreFile], bool]:
        """List a batch's files by age, and tell whether there are more."""
        batch = await file_batches.one(self.registry, caller.tenant, store, batch_id)
        return await vector_store_files.listed(
            self.registry,
            caller.tenant,
            store,
            page,
            order=order,
            status=status,
            ids=batch.file_ids,
        )

    async def cancel(self, caller: Caller, store: str, batch_id: str) -> FileBatch:
        """Give up a batch's files that are not indexed yet."""
        batch = await file_batches.one(self.registry, caller.tenant, store, batch_id)
        async with self.registry.change(_actor(caller)) as change:
            waiting = await vector_store_files.unfinished(change, store, batch.file_ids)
            await vector_store_files.wish(change, store, waiting, todo="discard")
            await file_batches.cancel(change, batch)
        self.indexer.wake()
        return await self.batch(caller, store, batch_id)

    async def _attach(
        self, caller: Caller, store: str, writes: Sequence[FileAttach], *, batch: bool
    ) -> Batch | None:
        for write in writes:
            refuse_static_chunks(write.chunking_strategy)
        label = await self.stores.require(caller, store)
        attachments = [Attachment(w.file_id, dict(w.attributes or {})) for w in writes]
        ids = list(dict.fromkeys(write.file_id for write in writes))
        async with self.registry.change(_actor(caller)) as change:
            await vector_store_files.attach(change, store, attachments, self.stores.max_files)
            await vector_stores.save(change, label, "files_attached")
            opened = await file_batches.begin(change, store, ids) if batch else None
        self.indexer.wake()
        return opened

    async def _counted(self, caller: Caller, batch: Batch) -> FileBatch:
        counted = await vector_store_files.statuses(
            self.registry, caller.tenant, batch.store, batch.file_ids
        )
        # A file that was taken out again is in no list, and the batch's total stays what it was.
        counted["cancelled"] += len(batch.file_ids) - counted.total()
        return FileBatch(
            id=batch.id,
            created_at=batch.created_at,
            vector_store_id=batch.store,
            status=_status_of(batch, counted),
            file_counts=counts_of(counted),
        )


def _files_of(write: BatchCreate) -> Sequence[FileAttach]:
    if bool(write.file_ids) == bool(write.files):
        raise InvalidRequest("Send the files in `file_ids` or in `files`.", param="file_ids")
    if write.files:
        return write.files
    return [
        FileAttach(
            file_id=file_id,
            attributes=write.attributes,
            chunking_strategy=write.chunking_strategy,
        )
        for file_id in write.file_ids or ()
    ]


def _status_of(batch: Batch, counted: Counter[str]) -> FileStatus:
    if counted["in_progress"]:
        return "in_progress"
    if batch.cancelled:
        return "cancelled"
    return "failed" if counted["failed"] == len(batch.file_ids) else "completed"


def _actor(caller: Caller) -> Actor:
    return Actor(caller.tenant, caller.key_id)
