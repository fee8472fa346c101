"""An index that can be exchanged for another while it serves.

While a new making is filled and laid out, every change to the one that serves is repeated in it, so
that it misses nothing at the moment of the switch; searches see the old one until then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager

from services.retriever.errors import IndexUnavailable
from services.retriever.index.following import Change, Follower
from services.retriever.index.port import ChunkPoint, Condition, Hit, Index, IndexQuery, Wear

Opener = Callable[[int], AbstractAsyncContextManager[Index]]
"""Opens one making of the index."""

DRAIN_SECONDS = 30.0
"""How long an index that serves no more stays open for the calls under way."""


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
        self._following: tuple[Follower, asyncio.Task[None]] | None = None

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

    async def points(self, after: str | None, limit: int) -> tuple[list[ChunkPoint], str | None]:
        """Read points back whole, page by page."""
        with self._held.used() as index:
            return await index.points(after, limit)

    async def wear(self) -> Wear:
        """Say how much has changed since the index was tuned."""
        with self._held.used() as index:
            return await index.wear()

    async def tune(self) -> None:
        """Lay the points out for searching; nothing else is answered meanwhile."""
        with self._held.used() as index:
            await index.tune()

    def hold_flushes(self, *, held: bool) -> None:
        """Bring nothing to disk unasked from here on, or do so again."""
        if self._serving is not None:
            self.current.hold_flushes(held=held)

    async def open(self, generation: int) -> None:
        """Open the making that serves."""
        self._serving = await self._hold(generation)

    async def open_new(self, generation: int) -> Index:
        """Open a making beside the one that serves; from here on it has every change too."""
        self._coming = await self._hold(generation)
        # Beside an index that is being written a flush takes so long that searches wait a second.
        self.hold_flushes(held=True)
        follower = Follower(self._coming[0].index)
        self._following = follower, self._group.create_task(follower.follow())
        return follower.index

    async def caught_up(self) -> None:
        """Wait until the new making has every change.

        Raises:
            IndexUnavailable: it missed one, and is worth nothing.
        """
        assert self._following is not None
        await self._following[0].caught_up()

    async def tune_new(self) -> None:
        """Lay the new making out for searching; changes wait for it meanwhile.

        Raises:
            IndexUnavailable: it misses a change, and is worth nothing.
        """
        assert self._following is not None
        await self._following[0].tell(lambda index: index.tune())
        await self.caught_up()

    async def switch(self) -> None:
        """Let the new making serve once it has every change, and close the former one."""
        assert self._following is not None
        follower, following = self._following
        while follower.is_behind:
            with contextlib.suppress(IndexUnavailable):
                await follower.caught_up()
        # From the last look to here nothing awaits, so no change comes between.
        former, self._serving, self._coming = self._serving, self._coming, None
        self._following = None
        following.cancel()
        await _release(former)

    async def drop_new(self) -> None:
        """Close the new making; only the one that serves goes on."""
        if self._following is not None:
            follower, following = self._following
            self._following = None
            follower.trouble = IndexUnavailable("The new index was given up.")
            while follower.is_behind:
                with contextlib.suppress(IndexUnavailable):
                    await follower.caught_up()
            following.cancel()
        dropped, self._coming = self._coming, None
        self.hold_flushes(held=False)
        await _release(dropped)

    async def close(self) -> None:
        """Close whatever is open."""
        if self._following is not None:
            self._following[1].cancel()
            self._following = None
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

    async def _change(self, change: Change) -> None:
        """Make a change, and have it repeated in the new making; that one's failing is no caller's
        trouble.

        Told before it is made here: a switch in its midst must not keep it from the new one.
        """
        if self._following is not None:
            await self._following[0].tell(change)
        with self._held.used() as current:
            await change(current)


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
