"""What this process has running on each replica: for callers, and beside them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


class Crowded(Exception):
    """Callers need the replica that work beside them was to use, or was using."""


@dataclass(slots=True)
class Traffic:
    """Counts requests by replica, and makes room for callers when they come.

    An engine orders by priority what waits, and interrupts nothing that runs; so work that nobody
    waits for is let in only while there is room, and is broken off here.
    """

    _callers: Counter[str] = field(default_factory=Counter)
    _beside: dict[str, dict[asyncio.Timeout, int]] = field(default_factory=dict)
    """By replica, what may be broken off, and from how many callers on."""

    def of_callers(self, replica: str) -> int:
        """Count the requests on a replica that callers wait for."""
        return self._callers[replica]

    def all(self, replica: str) -> int:
        """Count all requests on a replica."""
        return self._callers[replica] + len(self._beside.get(replica, ()))

    @contextlib.asynccontextmanager
    async def counted(self, replica: str) -> AsyncIterator[None]:
        """Count a caller's request while the body runs, and break off what it leaves no room."""
        self._callers[replica] += 1
        self._make_room(replica)
        try:
            yield
        finally:
            self._callers[replica] -= 1
            if not self._callers[replica]:
                del self._callers[replica]

    @contextlib.asynccontextmanager
    async def beside(self, replica: str, *, callers: int) -> AsyncIterator[None]:
        """Run the body beside callers, as long as they have no more than so many requests there.

        Raises:
            Crowded: they have more, at the beginning or while the body runs, which is broken off.
        """
        if self._callers[replica] > callers:
            raise Crowded(replica)
        running = self._beside.setdefault(replica, {})
        limit = asyncio.timeout(None)
        try:
            async with limit:
                running[limit] = callers
                try:
                    yield
                finally:
                    running.pop(limit, None)
        except TimeoutError as error:
            if limit.expired():
                raise Crowded(replica) from error
            raise

    def _make_room(self, replica: str) -> None:
        running = self._beside.get(replica, {})
        for limit, callers in list(running.items()):
            if self._callers[replica] > callers:
                del running[limit]
                limit.reschedule(asyncio.get_running_loop().time())
