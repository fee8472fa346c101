"""Settling what a request used: its price, its metrics, and its row in the ledger."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog
from prometheus_client import CollectorRegistry, Counter

from services.domain.pricing import Prices
from services.gateway.accounts import Account
from services.gateway.metrics import ChatMetrics
from services.gateway.registry.ledger import LedgerRow

_log = structlog.get_logger(__name__)

BATCH_ROWS = 100
"""How many rows one transaction writes; preparing more would hold up the streams beside it."""

Append = Callable[[Sequence[LedgerRow]], Awaitable[None]]
"""Writes rows to the registry; writing the same rows again changes nothing."""


@dataclass(slots=True)
class LedgerQueue:
    """Rows on their way to the ledger, written behind the answers so that none waits for it."""

    append: Append
    capacity: int
    """Rows beyond this are dropped and counted: the ledger must not eat the process."""
    dropped: Counter
    _waiting: deque[tuple[float, LedgerRow]] = field(default_factory=deque)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def record(self, row: LedgerRow) -> None:
        """Take a row; never waits."""
        if len(self._waiting) >= self.capacity:
            self.dropped.inc()
            return
        self._waiting.append((time.monotonic(), row))

    async def flush(self) -> None:
        """Write every row that waits; what cannot be written stays for the next time."""
        async with self._writing:
            while self._waiting:
                batch = [row for _, row in list(self._waiting)[:BATCH_ROWS]]
                await self.append(batch)
                for _ in batch:
                    self._waiting.popleft()

    @property
    def lag_seconds(self) -> float:
        """How long the oldest row has been waiting."""
        return time.monotonic() - self._waiting[0][0] if self._waiting else 0.0


def dropped_counter(registry: CollectorRegistry) -> Counter:
    """Make the counter of rows that found no room."""
    return Counter(
        "inkstone_ledger_dropped_total",
        "Ledger rows that were dropped because the registry was away for too long.",
        registry=registry,
    )


@dataclass(frozen=True, slots=True)
class Meter:
    """Settles accounts."""

    prices: Prices
    metrics: ChatMetrics
    ledger: LedgerQueue

    def price(self, account: Account) -> None:
        """Set what the request cost."""
        usage = account.usage.all
        account.cost_usd = self.prices.cost(
            prompt=usage.prompt, cached=usage.cached, completion=usage.completion
        )

    def settle(self, account: Account) -> None:
        """Close an account, whatever became of its request."""
        account.close()
        self.price(account)
        self.metrics.settled(account)
        self.ledger.record(account.row())
