"""Batches of prepared documents into catalogue and index, settled in the commit that shows them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.errors import ServiceError, Unavailable
from services.retriever.catalogue.batches import Committed, Kept
from services.retriever.catalogue.job_records import Claim, Settled
from services.retriever.catalogue.leases import LeaseLostError, Leases
from services.retriever.catalogue.records import Place, Write
from services.retriever.errors import EmbeddingMismatch, Reembedding
from services.retriever.jobs.preparing import Ready
from services.retriever.metrics import Metrics
from services.retriever.rooms import Room, Rooms

_log = structlog.get_logger(__name__)


class Meter:
    """Measures the time that a job was worked on, whichever of its batches asks."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def lap(self) -> float:
        """Give the seconds since the last lap."""
        since, self._since = self._since, time.monotonic()
        return self._since - since


@dataclass(frozen=True, slots=True)
class Storer:
    """Stores batches of one job."""

    claim: Claim
    rooms: Rooms
    room: Room
    leases: Leases
    metrics: Metrics
    meter: Meter

    async def store(self, batch: Sequence[Ready], settled: Sequence[Settled]) -> bool:
        """Store documents, note what became of others, and tell whether the job goes on.

        A document that fails unexpectedly fails alone: its batch is done again one by one.

        Raises:
            LeaseLostError: the job is another worker's by now.
            Unavailable: index or model cannot answer now; the batch is to be done again.
        """
        if not batch:
            return await self._note(settled)
        try:
            return await self._store(batch, settled)
        except (LeaseLostError, Unavailable):
            raise
        except EmbeddingMismatch as error:
            raise Reembedding("The collection has changed the model; its files go on.") from error
        except ServiceError as error:
            failed = [_failed(one, error.code, error.message) for one in batch]
            return await self._note([*settled, *failed])
        except Exception as error:  # noqa: BLE001 - one bad document must not end the job
            if len(batch) == 1:
                _log.error("ingestion.item_failed", item=batch[0].item.number, exc_info=error)
                unforeseen = "The file failed unexpectedly; the retriever's log has the cause."
                failed = [_failed(batch[0], ServiceError.code, unforeseen)]
                return await self._note([*settled, *failed])
        goes_on = await self._note(settled)
        for one in batch:
            goes_on = await self.store([one], [])
        return goes_on

    async def _store(self, batch: Sequence[Ready], settled: Sequence[Settled]) -> bool:
        ready = {one.place: one for one in batch}
        await self.rooms.opened(self.claim.tenant, self.claim.collection)
        async with self.room.indexer.holding(ready):
            drafts = {place: one.draft for place, one in ready.items()}
            begun = await self.room.catalogue.batches.begin(drafts, self._may_begin)
            if begun is None:
                return False
            kept = [
                Settled(ready[place].item, "unchanged", one.chunks, revision=one.revision)
                for place, one in begun.items()
                if isinstance(one, Kept)
            ]
            writes = [one for one in begun.values() if isinstance(one, Write)]
            return await self._finish(ready, writes, [*settled, *kept])

    async def _may_begin(self, connection: AsyncConnection) -> bool:
        return await self.leases.hold(connection, self.claim)

    async def _finish(
        self, ready: dict[Place, Ready], writes: Sequence[Write], settled: Sequence[Settled]
    ) -> bool:
        goes_on = False

        async def settle(connection: AsyncConnection, committed: Sequence[Committed]) -> None:
            nonlocal goes_on
            done = [_done(ready[one.write.place], one) for one in committed]
            lost = {write.place for write in writes} - {one.write.place for one in committed}
            gone = "The collection was deleted while the file was ingested; send it again."
            failed = [_failed(ready[place], "collection_not_found", gone) for place in lost]
            everything = [*settled, *done, *failed]
            goes_on = await self.leases.settle(connection, self.claim, everything, self.meter.lap())
            outcomes.extend(everything)

        outcomes: list[Settled] = []
        try:
            pairs = [(write, chunk) for write in writes for chunk in ready[write.place].chunks]
            await self.room.indexer.store(pairs)
            finished = [(write, len(ready[write.place].chunks)) for write in writes]
            lost = await self.room.catalogue.batches.commit(finished, settle)
            await self.room.catalogue.batches.abandon(lost)
        except Exception:
            await self.room.catalogue.batches.abandon(writes)
            raise
        finally:
            self.room.indexer.left_something.set()
        self.metrics.ingestion_batch_chunks.observe(len(pairs))
        self.metrics.chunks.inc(len(pairs))
        self._count(outcomes)
        return goes_on

    async def _note(self, settled: Sequence[Settled]) -> bool:
        goes_on = await self.leases.settle_alone(self.claim, settled, self.meter.lap())
        self._count(settled)
        return goes_on

    def _count(self, settled: Sequence[Settled]) -> None:
        for one in settled:
            self.metrics.files.labels(one.code or one.state).inc()
            if one.state != "failed":
                self.metrics.documents.labels(one.state).inc()


def _done(ready: Ready, committed: Committed) -> Settled:
    state = "replaced" if committed.replaced else "created"
    return Settled(
        ready.item,
        "replaced" if state == "replaced" else "created",
        committed.chunks,
        revision=committed.write.revision,
    )


def _failed(ready: Ready, code: str, message: str) -> Settled:
    return Settled(ready.item, "failed", code=code, message=message)
