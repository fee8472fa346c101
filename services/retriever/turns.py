"""Whose turn it is to write: one writer a document, a few at once, a bounded queue before them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

from services.retriever.catalogue.records import Place
from services.retriever.errors import WritesFull
from services.retriever.metrics import Metrics

RETRY_AFTER_SECONDS = 2.0
"""When a refused writer may come back."""


class Turns:
    """Lets writers in."""

    def __init__(self, concurrent: int, max_waiting: int, metrics: Metrics) -> None:
        self._free = asyncio.Semaphore(concurrent)
        self._max_waiting = max_waiting
        self._waiting = 0
        self._metrics = metrics
        self._locks: dict[Place, tuple[asyncio.Lock, int]] = {}

    @contextlib.asynccontextmanager
    async def write(self, place: Place) -> AsyncIterator[None]:
        """Wait for the document and for a free place among the writers.

        Raises:
            WritesFull: too many wait already.
        """
        if self._free.locked() and self._waiting >= self._max_waiting:
            raise WritesFull(
                f"{self._waiting} document writes wait already; try again shortly.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            )
        with self._counted():
            await self._free.acquire()
        try:
            async with self.hold(place):
                yield
        finally:
            self._free.release()

    @contextlib.asynccontextmanager
    async def hold(self, place: Place) -> AsyncIterator[None]:
        """Wait until nobody else writes the document."""
        lock, users = self._locks.get(place, (asyncio.Lock(), 0))
        self._locks[place] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(place)
            if users > 1:
                self._locks[place] = (lock, users - 1)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        self._waiting += 1
        self._metrics.writes_waiting.inc()
        try:
            yield
        finally:
            self._waiting -= 1
            self._metrics.writes_waiting.dec()
