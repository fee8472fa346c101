"""An index that can be exchanged for another while it serves.

While a new making is filled, every change goes to both, so that the new one misses nothing at the
moment of the switch; searches see the old one until then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager

import structlog

from services.retriever.errors import IndexUnavailable
from services.retriever.index.port import ChunkPoint, Condition, Hit, Index, IndexQuery

Opener = Callable[[int], AbstractAsyncContextManager[Index]]
"""Opens one making of the index."""

DRAIN_SECONDS = 30.0
"""How long an index that serves no more stays open for the calls under way."""

_log = structlog.get_logger(__name__)


class _Held:
    """An open index in a task of its own: its context must end in the task that entered it."""

    def __init__(self, context: AbstractAsyncContextManager[Index]) -> None:
        self.opened: asyncio.Future[Index] = asyncio.get_running_loop().create_future()
        self._context = context
        self._users = 0
        self._released = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def index(self) -> Index:
        """The open index."""
        return self.opened.result()

    async def hold(self) -> None:
        """Keep it open until it is released."""
        try:
            async with self._context as index:
                self.opened.set_result(index)
                await self._released.wait()
        except Exception as error:
            if self.opened.done():
                raise
            self.opened.set_exception(error)

    @contextlib.contextmanager
    def used(self) -> Iterator[Index]:
        """Keep it open for a call."""
        self._users += 1
        self._idle.clear()
        try:
            yield self.index
        finally:
            self._users -= 1
            if not self._users:
                self._idle.set()

    async def release(self, task: asyncio.Task[None]) -> None:
        """Close it once the calls under way have ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._idle.wait()
        self._released.set()
        await task


class SwitchingIndex:
    """The index that serves, and while one is made the new one beside it."""

    def __init__(self, opener: Opener, group: asyncio.TaskGroup) -> None:
        self._opener = opener
        self._group = group
        self._serving: tuple[_Held, asyncio.Task[None]] | None = None
        self._coming: tuple[_Held, asyncio.Task[None]] | None = None
        self.trouble: IndexUnavailable | None = None
        """Why the new making misses a change, and is worth nothing."""

    @property
    def current(self) -> Index:
        """The index that serves."""
        return self._held.index

    @property
    def ready(self) -> bool:
        """Whether the engine answers now."""
        return self.current.ready

    async def upsert(self, points: Sequence[ChunkPoint]) -> None:
        """Store points; points with known ids are replaced."""
        await self._change(lambda index: index.upsert(points))

    async def delete(self, where: Condition) -> None:
        """Remove the points that match."""
        await self._change(lambda index: index.delete(where))

    async def search(self, query: IndexQuery) -> list[Hit]:
        """Find the best points, best first."""
        with self._held.used() as index:
            return await index.search(query)

    async def count(self, where: Condition | None = None) -> int:
        """Count the points that match, or all."""
        with self._held.used() as index:
            return await index.count(where)

    async def revisions(self) -> dict[int, int]:
        """Count the points of every revision."""
        with self._held.used() as index:
            return await index.revisions()

    async def flush(self) -> None:
        """Bring everything written so far to disk."""
        with self._held.used() as index:
            await index.flush()

    async def open(self, generation: int) -> None:
        """Open the making that serves."""
        self._serving = await self._hold(generation)

    async def open_new(self, generation: int) -> Index:
        """Open a making beside the one that serves; from here on changes go to both."""
        self.trouble = None
        self._coming = await self._hold(generation)
        return self._coming[0].index

    async def switch(self) -> None:
        """Let the new making serve, and close the former one."""
        former, self._serving, self._coming = self._serving, self._coming, None
        await _release(former)

    async def drop_new(self) -> None:
        """Close the new making; only the one that serves goes on."""
        dropped, self._coming = self._coming, None
        await _release(dropped)

    async def close(self) -> None:
        """Close whatever is open."""
        await self.drop_new()
        held, self._serving = self._serving, None
        await _release(held)

    @property
    def _held(self) -> _Held:
        assert self._serving is not None
        return self._serving[0]

    async def _hold(self, generation: int) -> tuple[_Held, asyncio.Task[None]]:
        held = _Held(self._opener(generation))
        task = self._group.create_task(held.hold())
        await held.opened
        return held, task

    async def _change(self, change: Callable[[Index], Awaitable[None]]) -> None:
        """Make a change in both; that it fails in the new one is no caller's trouble.

        Which two they are is decided before the change begins: a switch in its midst must not keep
        it from the new one.
        """
        with contextlib.ExitStack() as stack:
            current = stack.enter_context(self._held.used())
            coming = stack.enter_context(self._coming[0].used()) if self._coming else None
            await change(current)
            if coming is None or self.trouble is not None:
                return
            try:
                await change(coming)
            except IndexUnavailable as error:
                _log.warning("index.new_making_failed", reason=error.message)
                self.trouble = error


async def _release(held: tuple[_Held, asyncio.Task[None]] | None) -> None:
    if held is not None:
        await held[0].release(held[1])


@contextlib.asynccontextmanager
async def open_switching_index(opener: Opener, generation: int) -> AsyncIterator[SwitchingIndex]:
    """Run the index that serves, and its successors, for as long as the context lasts."""
    async with asyncio.TaskGroup() as group:
        index = SwitchingIndex(opener, group)
        await index.open(generation)
        try:
            yield index
        finally:
            await index.close()
