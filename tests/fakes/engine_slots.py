"""Which requests of the fake engine run, and which wait for a sequence or an adapter slot."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass(order=True, slots=True)
class _Waiting:
    priority: int
    arrival: int
    adapter: str | None = field(compare=False)
    admitted: asyncio.Event = field(compare=False, default_factory=asyncio.Event)


class EngineSlots:
    """Admits up to `max_num_seqs` requests at once, over at most `max_loras` distinct adapters.

    Waiting requests go by priority (lower first), then by arrival; one whose adapter has no slot is
    passed over by those that can run. Nothing that runs is ever interrupted.
    """

    def __init__(self, *, max_loras: int, max_num_seqs: int, max_in_flight: int) -> None:
        self.running: Counter[str | None] = Counter()
        self._max_loras = max_loras
        self._max_num_seqs = max_num_seqs
        self._max_in_flight = max_in_flight
        self._waiting: list[_Waiting] = []
        self._arrivals = itertools.count()

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    @property
    def are_full(self) -> bool:
        """Whether another request would be refused."""
        return self.running.total() + len(self._waiting) >= self._max_in_flight

    @contextlib.asynccontextmanager
    async def held(self, adapter: str | None, priority: int) -> AsyncIterator[None]:
        """Wait for a place, hold it, give it back."""
        turn = _Waiting(priority, next(self._arrivals), adapter)
        self._waiting.append(turn)
        self._admit()
        try:
            await turn.admitted.wait()
        except asyncio.CancelledError:
            self._leave(turn)
            raise
        try:
            yield
        finally:
            self._leave(turn)

    def _leave(self, turn: _Waiting) -> None:
        if turn.admitted.is_set():
            self.running[turn.adapter] -= 1
        else:
            self._waiting.remove(turn)
        self._admit()

    def _admit(self) -> None:
        for turn in sorted(self._waiting):
            if self._fits(turn.adapter):
                self._waiting.remove(turn)
                self.running[turn.adapter] += 1
                turn.admitted.set()

    def _fits(self, adapter: str | None) -> bool:
        if self.running.total() >= self._max_num_seqs:
            return False
        if adapter is None or self.running[adapter]:
            return True
        return sum(1 for name, count in self.running.items() if name and count) < self._max_loras
