"""Vector stores: the tenant's collections, with names, notes and files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from secrets import token_hex

from services.chassis.errors import Conflict, InvalidRequest, NotFound, ServiceError
from services.contracts.knowledge import Collection
from services.contracts.vector_stores import (
    ChunkingStrategy,
    CollectionFigures,
    VectorStore,
    VectorStoreCreate,
    VectorStoreUpdate,
)
from services.gateway.clients.retriever import Retriever
from services.gateway.knowledge.indexing import Indexer
from services.gateway.registry import uses, vector_store_files, vector_stores, versions
from services.gateway.registry.changes import Actor, Registry
from services.gateway.registry.files import Order
from services.gateway.registry.paging import Page
from services.gateway.registry.snapshot import Caller
from services.gateway.registry.vector_store_files import Attachment
from services.gateway.registry.vector_stores import (
    Holdings,
    StoreChanged,
    StoreLabel,
    UnknownStore,
)
from services.gateway.registry.versions import Expected

_NOTHING = Holdings()


class StoresFull(Conflict):
    """The tenant has as many vector stores as it may."""

    code = "vector_stores_full"


@dataclass(frozen=True, slots=True)
class StoreDesk:
    """Opens, describes, changes and removes vector stores."""

    registry: Registry
    retriever: Retriever
    indexer: Indexer
    max_stores: int
    max_files: int

    async def create(self, caller: Caller, write: VectorStoreCreate) -> VectorStore:
        """Open a vector store: an empty collection, to which the files are then added.

        Raises:
            StoresFull: when there are too many already.
            UnknownFile: when a file does not exist.
        """
        refuse_expiry(write.expires_after)
        refuse_static_chunks(write.chunking_strategy)
        if len((await self.retriever.collections(caller)).data) >= self.max_stores:
            raise StoresFull(
                f"A tenant has at most {self.max_stores} vector stores; delete one first."
            )
        store, now = f"vs-{token_hex(12)}", int(self.registry.clock())
        label = StoreLabel(
            store, write.name or "", write.description or "", write.metadata or {}, now, now
        )
        files = [Attachment(file_id) for file_id in write.file_ids]
        await self.retriever.create_collection(caller, store)
        try:
            async with self.registry.change(Actor(caller.tenant, caller.key_id)) as change:
                await vector_store_files.attach(change, store, files, self.max_files)
                await vector_stores.save(change, label, "created")
        except ServiceError:
            await self.retriever.delete_collection(caller, store)
            raise
        self.indexer.wake()
        return await self.one(caller, store)

    async def one(self, caller: Caller, store: str) -> VectorStore:
        """Describe a vector store.

        Raises:
            UnknownStore: when the tenant has no such collection.
        """
        label = await vector_stores.label(self.registry, caller.tenant, store)
        collection = await self._collection(caller, store)
        held = await vector_stores.holdings(self.registry, caller.tenant, store)
        return _described(collection, label, held.get(store, _NOTHING))

    async def listed(
        self, caller: Caller, page: Page, order: Order
    ) -> tuple[Sequence[VectorStore], bool]:
        """List a tenant's vector stores by age, and tell whether there are more.

        Raises:
            InvalidRequest: when `page.after` names none of them.
        """
        collections = (await self.retriever.collections(caller)).data
        labels = await vector_stores.labels(self.registry, caller.tenant)
        held = await vector_stores.holdings(self.registry, caller.tenant)
        stores = [
            _described(collection, label, held.get(collection.id, _NOTHING))
            for collection in collections
            if (label := labels.get(collection.id)) is None or label.removed_at is None
        ]
        stores.sort(key=lambda store: (store.created_at, store.id), reverse=order == "desc")
        start = _place_after([store.id for store in stores], page.after)
        return stores[start : start + page.limit], len(stores) > start + page.limit

    async def update(
        self, caller: Caller, store: str, write: VectorStoreUpdate, expected: Expected = None
    ) -> VectorStore:
        """Change a vector store's name and notes.

        Raises:
            UnknownStore: when the tenant has no such collection.
            StoreChanged: it is not at the expected version.
        """
        refuse_expiry(write.expires_after)
        seen = await self.require(caller, store)
        async with self.registry.change(Actor(caller.tenant, caller.key_id)) as change:
            # Read again: what another caller has said of it meanwhile stays.
            label = await vector_stores.find_label(change.connection, caller.tenant, store) or seen
            versions.check(f"The vector store {store!r}", label.version, expected, StoreChanged)
            if write.name is not None:
                label = replace(label, name=write.name)
            if write.metadata is not None:
                label = replace(label, metadata=write.metadata)
            await vector_stores.save(change, label, "updated")
        return await self.one(caller, store)

    async def delete(self, caller: Caller, store: str) -> None:
        """Remove a vector store with its collection; the files themselves stay.

        Raises:
            UnknownStore: when the tenant has no such collection.
        """
        await self.require(caller, store)
        await self.remove(caller, store)

    async def remove(self, caller: Caller, store: str) -> None:
        """Remove a collection, and what is said of it as a vector store.

        Should the retriever be away, or a file be on its way into the collection even now, the
        indexer ends the removal.

        Raises:
            CollectionInUse: while an assistant looks things up in it.
            ServiceError: the retriever's, when nothing is known of it as a vector store.
        """
        async with self.registry.database.read() as connection:
            await uses.refuse_used_collection(connection, caller.tenant, store)
        known = await vector_stores.label(self.registry, caller.tenant, store)
        if known is None:
            await self.retriever.delete_collection(caller, store)
            return
        actor = Actor(caller.tenant, caller.key_id)
        async with self.registry.change(actor) as change:
            busy = await vector_stores.begin_removal(change, store)
        try:
            await self.retriever.delete_collection(caller, store)
        except NotFound:
            pass
        except ServiceError:
            self.indexer.wake()
            return
        if busy:
            self.indexer.wake()
        else:
            await vector_stores.forget(self.registry, actor, store)

    async def require(self, caller: Caller, store: str) -> StoreLabel:
        """Make sure that a vector store exists; a plain collection is named after itself.

        Raises:
            UnknownStore: when the tenant has no such collection.
        """
        label = await vector_stores.label(self.registry, caller.tenant, store)
        if label is not None:
            return label
        return _unlabelled(await self._collection(caller, store))

    async def _collection(self, caller: Caller, store: str) -> Collection:
        try:
            return await self.retriever.collection(caller, store)
        except NotFound as error:
            raise UnknownStore(store) from error


def refuse_expiry(expires_after: object) -> None:
    """Refuse what would delete knowledge without anybody's doing.

    Raises:
        InvalidRequest: `expires_after_unsupported`.
    """
    if expires_after is not None:
        raise InvalidRequest(
            "Vector stores do not expire; leave `expires_after` out and delete the store instead.",
            code="expires_after_unsupported",
            param="expires_after",
        )


def refuse_static_chunks(strategy: ChunkingStrategy | None) -> None:
    """Refuse chunk sizes of a file's own: one collection has chunks of one size.

    Raises:
        InvalidRequest: `chunking_strategy_unsupported`.
    """
    if strategy is not None and strategy.type != "auto":
        raise InvalidRequest(
            "Chunks have the size that the retriever is set to; leave `chunking_strategy` out or "
            "send `auto`.",
            code="chunking_strategy_unsupported",
            param="chunking_strategy",
        )


def _unlabelled(collection: Collection) -> StoreLabel:
    created = collection.created_at
    return StoreLabel(collection.id, collection.id, "", {}, created, created)


def _described(collection: Collection, label: StoreLabel | None, held: Holdings) -> VectorStore:
    label = label or _unlabelled(collection)
    return VectorStore(
        id=collection.id,
        created_at=label.created_at,
        name=label.name,
        description=label.description,
        usage_bytes=held.bytes,
        file_counts=held.counts,
        status="in_progress" if held.counts.in_progress else "completed",
        last_active_at=label.updated_at,
        metadata=dict(label.metadata),
        inkstone=CollectionFigures(
            documents=collection.documents, chunks=collection.chunks, version=label.version
        ),
    )


def _place_after(ids: Sequence[str], after: str | None) -> int:
    if after is None:
        return 0
    if after not in ids:
        raise InvalidRequest(
            f"after={after!r} is not an item of this list; use an id that it gave.", param="after"
        )
    return ids.index(after) + 1
