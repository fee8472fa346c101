"""Batches: which files were attached to a vector store together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from secrets import token_hex

from sqlalchemy import insert, select, update

from services.chassis.errors import NotFound
from services.gateway.registry import tables
from services.gateway.registry.changes import Change, Registry

_batches = tables.file_batches


class UnknownBatch(NotFound):
    """The vector store has no such batch."""

    code = "file_batch_not_found"


@dataclass(frozen=True, slots=True)
class Batch:
    """Files that were attached together."""

    id: str
    store: str
    file_ids: Sequence[str]
    created_at: int
    cancelled: bool


async def begin(change: Change, store: str, file_ids: Sequence[str]) -> Batch:
    """Note which files are attached together."""
    batch = Batch(f"vsfb_{token_hex(12)}", store, file_ids, change.second, cancelled=False)
    await change.connection.execute(
        insert(_batches).values(
            tenant=change.actor.tenant,
            id=batch.id,
            store=store,
            file_ids=list(file_ids),
            created_at=batch.created_at,
            cancelled=False,
        )
    )
    return batch


async def one(registry: Registry, tenant: str, store: str, batch_id: str) -> Batch:
    """Read one batch of a vector store.

    Raises:
        UnknownBatch: when it has no such batch.
    """
    query = select(_batches).where(
        _batches.c.tenant == tenant, _batches.c.store == store, _batches.c.id == batch_id
    )
    async with registry.database.read() as connection:
        row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise UnknownBatch(
            f"The vector store {store!r} has no batch {batch_id!r}.", param="batch_id"
        )
    return Batch(row.id, row.store, row.file_ids, row.created_at, row.cancelled)


async def cancel(change: Change, batch: Batch) -> None:
    """Note that a batch was given up."""
    await change.connection.execute(
        update(_batches)
        .where(_batches.c.tenant == change.actor.tenant, _batches.c.id == batch.id)
        .values(cancelled=True)
    )
    await change.record("vector_store.batch_cancelled", None, batch.id)
