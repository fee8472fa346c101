"""The embedded engine: the Qdrant core in one child process, restarted when it dies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import structlog

from services.retriever.children import Child, ChildDied, ChildFailed, start_child
from services.retriever.errors import IndexUnavailable
from services.retriever.index.port import ChunkPoint, Condition, Hit, IndexQuery, Wear
from services.retriever.metrics import Metrics

_log = structlog.get_logger(__name__)
CALL_SECONDS = 120.0
"""How long the child may take for one call before it is taken to hang."""

TUNING_SECONDS = 3600.0
"""How long the child may take while it tunes, and whatever waits behind that."""

_CHILD = "services.retriever.index.edge_process"
_FIRST_BACKOFF_SECONDS = 0.2
_LONGEST_BACKOFF_SECONDS = 10.0


class EdgeIndex:
    """Calls to the child that owns the shard.

    A call that was under way when the child died fails with `IndexUnavailable`; one that comes
    while it restarts waits for it, at most `patience_seconds`.
    """

    def __init__(
        self, directory: Path, dimensions: int, metrics: Metrics, *, patience_seconds: float = 30.0
    ) -> None:
        self._unflushed = False
        self._held = False
        self._call_seconds = CALL_SECONDS
        self._directory = directory
        self._dimensions = dimensions
        self._metrics = metrics
        self._patience_seconds = patience_seconds
        self._child: Child | None = None
        self._changed = asyncio.Condition()

    @property
    def ready(self) -> bool:
        """Whether the child answers."""
        return self._child is not None and not self._child.died.is_set()

    @property
    def child_pid(self) -> int | None:
        """The child's process id, when it runs."""
        return self._child.pid if self._child else None

    async def upsert(self, points: Sequence[ChunkPoint]) -> None:
        """Store points, all or none of them."""
        self._unflushed = True
        await self.call("upsert", list(points))

    async def delete(self, where: Condition) -> None:
        """Remove the points that match."""
        self._unflushed = True
        await self.call("delete", where)

    async def points(self, after: str | None, limit: int) -> tuple[list[ChunkPoint], str | None]:
        """Read points back whole, page by page."""
        page: tuple[list[ChunkPoint], str | None] = await self.call("points", after, limit)
        return page

    async def search(self, query: IndexQuery) -> list[Hit]:
        """Find the best points, best first."""
        hits: list[Hit] = await self.call("search", query)
        return hits

    async def count(self, where: Condition | None = None) -> int:
        """Count the points that match, or all."""
        return int(await self.call("count", where))

    async def revisions(self) -> dict[int, int]:
        """Count the points of every revision."""
        counts: dict[int, int] = await self.call("revisions")
        return counts

    async def flush(self) -> None:
        """Bring everything written so far to disk."""
        self._unflushed = False
        await self.call("flush")

    async def wear(self) -> Wear:
        """Say how much has changed since the index was tuned."""
        wear: Wear = await self.call("wear")
        return wear

    async def tune(self) -> None:
        """Lay the points out for searching; nothing else is answered meanwhile."""
        self._call_seconds = TUNING_SECONDS
        try:
            await self.call("tune")
        finally:
            self._call_seconds = CALL_SECONDS

    def hold_flushes(self, *, held: bool) -> None:
        """Bring nothing to disk unasked from here on, or do so again."""
        self._held = held

    async def keep_flushing(self, every_seconds: float) -> None:
        """Flush now and then while there is something to flush.

        Every flush holds up the searches behind it for 10 to 500 ms, so not every write has its
        own: the engine's log survives the child's death, and what a power cut takes is made anew
        from the catalogue, whose commits do reach the disk.
        """
        while True:
            await asyncio.sleep(every_seconds)
            if self._unflushed and not self._held:
                with contextlib.suppress(IndexUnavailable):
                    await self.flush()

    async def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the child, waiting for one that is starting.

        Raises:
            IndexUnavailable: the child died during the call, refused it, or did not start in time.
        """
        child = await self._running_child()
        try:
            async with asyncio.timeout(self._call_seconds):
                with self._metrics.index_seconds.labels(name).time():
                    return await child.call(name, *arguments)
        except TimeoutError as error:
            child.kill()
            raise IndexUnavailable(
                "The index hangs and is restarted; try again shortly."
            ) from error
        except ChildDied as error:
            raise IndexUnavailable("The index is restarting; try again shortly.") from error
        except ChildFailed as error:
            _log.error("index.failed", operation=name, reason=str(error))
            raise IndexUnavailable(
                "The index failed; the retriever's log has the cause."
            ) from error

    async def _running_child(self) -> Child:
        if self._child is not None and not self._child.died.is_set():
            return self._child
        try:
            async with asyncio.timeout(self._patience_seconds), self._changed:
                await self._changed.wait_for(lambda: self.ready)
        except TimeoutError as error:
            raise IndexUnavailable("The index does not start; its log has the cause.") from error
        assert self._child is not None
        return self._child

    async def keep_running(self) -> None:
        """Start the child, and again with growing pauses whenever it ends."""
        backoff = _FIRST_BACKOFF_SECONDS
        while True:
            try:
                async with start_child(
                    _CHILD, str(self._directory), str(self._dimensions)
                ) as child:
                    if await self._announce(child):
                        backoff = _FIRST_BACKOFF_SECONDS
                    await child.died.wait()
                    self._child = None
            except OSError as error:
                _log.error("index.not_started", reason=str(error))
            self._metrics.index_restarts.inc()
            _log.error("index.died", restart_in_seconds=backoff)
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _LONGEST_BACKOFF_SECONDS)

    async def _announce(self, child: Child) -> bool:
        try:
            await child.call("open")
        except ChildDied:
            return False
        async with self._changed:
            self._child = child
            self._changed.notify_all()
        return True


@contextlib.asynccontextmanager
async def open_edge_index(
    directory: Path, dimensions: int, metrics: Metrics, flush_seconds: float
) -> AsyncIterator[EdgeIndex]:
    """Run the embedded index for as long as the context lasts."""
    index = EdgeIndex(directory, dimensions, metrics)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(index.keep_running()),
            group.create_task(index.keep_flushing(flush_seconds)),
        ]
        try:
            await index.count()
            yield index
        finally:
            for task in tasks:
                task.cancel()
