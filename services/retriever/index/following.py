"""Repeating in a new making what changes in the one that serves.

The new making may be busy for minutes, because it is being filled or laid out; the changes wait for
it in order, and no caller waits for them unless they become too many.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from services.retriever.errors import IndexUnavailable
from services.retriever.index.port import Index

Change = Callable[[Index], Awaitable[None]]
"""Something done to an index that may be done twice."""

MOST_BEHIND = 256
"""Changes that may wait for the new making; the next one waits with its caller."""

TRIES = 3
"""How often a change is tried: an engine that dies starts again with all it had."""

_log = structlog.get_logger(__name__)


class Follower:
    """A new making that comes after the one that serves."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.trouble: IndexUnavailable | None = None
        """Why the new making misses a change, and is worth nothing."""
        self._changes: asyncio.Queue[Change] = asyncio.Queue(MOST_BEHIND)
        self._behind = 0

    @property
    def is_behind(self) -> bool:
        """Whether a change has still to be repeated."""
        return self._behind > 0

    async def tell(self, change: Change) -> None:
        """Have a change repeated, after those before it."""
        self._behind += 1
        await self._changes.put(change)

    async def follow(self) -> None:
        """Repeat changes for as long as the task lives."""
        while True:
            change = await self._changes.get()
            if self.trouble is None:
                await self._repeat(change)
            self._behind -= 1
            self._changes.task_done()

    async def caught_up(self) -> None:
        """Wait until the new making has every change.

        Raises:
            IndexUnavailable: it missed one.
        """
        while self.is_behind:
            await self._changes.join()
        if self.trouble is not None:
            raise self.trouble

    async def _repeat(self, change: Change) -> None:
        for tried in range(1, TRIES + 1):
            try:
                await change(self.index)
            except IndexUnavailable as error:
                if tried == TRIES:
                    _log.warning("index.new_making_failed", reason=error.message)
                    self.trouble = error
            else:
                return
