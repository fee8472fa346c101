"""The content store: texts of sampled requests, for tenants that want them, and for no other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.domain.redaction import redacted
from services.domain.rollouts import split
from services.gateway.accounts import Account
from services.gateway.conversation import end_user_of
from services.gateway.registry import content
from services.gateway.registry.changes import Actor, Registry
from services.gateway.registry.content import Kept, KeptUnseen, end_user_hash

_SAMPLE = "content"
_BATCH = 20
"""Requests whose texts one transaction writes."""

_CUT_CHARACTERS = 80
"""No address and no number is longer."""


@dataclass(frozen=True, slots=True)
class ContentBounds:
    """Whose texts are kept, how many, and for how long."""

    tenants: frozenset[str]
    percent: float
    ttl_seconds: float
    max_characters: int
    """Of each text."""
    queue: int
    """Requests whose texts may wait to be written."""


@dataclass(slots=True)
class ContentStore:
    """Keeps texts behind the answers; what is private by its form never reaches the database."""

    registry: Registry
    bounds: ContentBounds
    dropped: Counter
    waiting: deque[Account] = field(default_factory=deque)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def keep(self, account: Account) -> None:
        """Take a request that is over, or a copy that was answered unseen; never waits."""
        if account.caller.tenant not in self.bounds.tenants or account.answer is None:
            return
        if account.status != 200 or account.target is None or account.target.release is None:
            return
        if not split.chosen(_SAMPLE, account.copy_of or account.id, self.bounds.percent):
            return
        if len(self.waiting) >= self.bounds.queue:
            self.dropped.inc()
        else:
            self.waiting.append(account)

    async def flush(self) -> None:
        """Write everything that waits; what cannot be written stays for the next time."""
        async with self._writing:
            while self.waiting:
                batch = list(self.waiting)[:_BATCH]
                # Looking for what is private takes milliseconds, which no stream should feel.
                rows = await asyncio.to_thread(self._rows, batch)
                await content.write(self.registry.database, rows)
                for _ in batch:
                    self.waiting.popleft()

    async def forget(self) -> None:
        """Erase what has expired, and everything of tenants that no longer want it kept."""
        await content.forget(self.registry, self.bounds.tenants)

    async def erase(self, actor: Actor, *, request_id: str | None, end_user: str | None) -> int:
        """Erase the texts of a request or of an end user, those included that are on their way."""
        await self.flush()
        return await content.erase(self.registry, actor, request_id=request_id, end_user=end_user)

    def _rows(self, batch: Sequence[Account]) -> list[Kept | KeptUnseen]:
        return [self._row(each) for each in batch]

    def _row(self, account: Account) -> Kept | KeptUnseen:
        assert account.target is not None
        assert account.target.release is not None
        assert account.answer is not None
        tenant, release = account.caller.tenant, account.target.release
        answer = self._text("\n\n".join(account.answer()))
        if account.copy_of is not None:
            return KeptUnseen(tenant, account.copy_of, release.id, answer)
        end_user = end_user_of(account.request) if account.request else None
        return Kept(
            tenant=tenant,
            id=account.id,
            request_id=account.request_id,
            end_user=end_user_hash(tenant, end_user) if end_user else None,
            assistant=release.assistant,
            release=release.id,
            arm=account.target.arm,
            at=account.at,
            expires_at=account.at + self.bounds.ttl_seconds,
            question=self._text(account.question),
            passages=[
                {
                    "collection": each.collection,
                    "document_id": each.document_id,
                    "chunk": each.chunk,
                    "text": self._text((each.surroundings or each).text),
                }
                for each in account.grounding.passages[: account.passages]
            ],
            answer=answer,
        )

    def _text(self, text: str) -> str:
        """Cut a text and redact it; what could be half of something private at the cut goes too."""
        most = self.bounds.max_characters
        return redacted(text) if len(text) <= most else redacted(text[:most])[:-_CUT_CHARACTERS]


def open_content_store(
    registry: Registry, bounds: ContentBounds, metrics: CollectorRegistry
) -> ContentStore:
    """Make the store, and show how many requests' texts wait and were dropped."""
    dropped = Counter(
        "inkstone_content_dropped_total",
        "Requests whose texts found no room on their way to the content store.",
        registry=metrics,
    )
    store = ContentStore(registry, bounds, dropped)
    waiting = Gauge(
        "inkstone_content_queue", "Requests whose texts wait to be written.", registry=metrics
    )
    waiting.set_function(lambda: len(store.waiting))
    return store
