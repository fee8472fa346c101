"""Making the engine hold what the gateway orders: one step at a time, until nothing differs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from services.chassis.errors import ServiceError
from services.contracts.adapters import AdapterVersionId, DesiredAdapter, ReplicaAdapter
from services.generator.adapters.loading import Loader
from services.generator.adapters.local_cache import AdapterUnusable, LocalCache
from services.generator.adapters.states import Event, Holding, State
from services.generator.engine import Engine, EngineRefused
from services.generator.metrics import Metrics

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """Delays, in seconds."""

    retry_delay: float
    max_retry_delay: float
    drain_grace: float
    file_grace: float


class Reconciler:
    """Compares orders with one engine and acts.

    Attributes:
        holdings: every version that this replica has to do with, by id.
    """

    def __init__(
        self,
        cache: LocalCache,
        patience: Patience,
        canary_threshold: float,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.holdings: dict[AdapterVersionId, Holding] = {}
        self._cache = cache
        self._patience = patience
        self._canary_threshold = canary_threshold
        self._metrics = metrics
        self._clock = clock
        self._wanted: dict[AdapterVersionId, DesiredAdapter] | None = None
        self._idle_since: dict[AdapterVersionId, float] = {}
        self._loader: Loader | None = None
        self._has_settled = False

    def order(self, desired: Sequence[DesiredAdapter]) -> None:
        """Take the gateway's orders; the next pass follows them."""
        self._wanted = {adapter.id: adapter for adapter in desired}

    def meet(self, engine: Engine | None) -> None:
        """Take a new engine, which holds nothing and has proven nothing; None when there is none.

        Must not be called while a pass runs.
        """
        self._loader = Loader(engine, self._cache, self._canary_threshold) if engine else None
        self._has_settled = False
        for version in list(self.holdings):
            self._apply(version, Event.VANISHED)

    @property
    def is_settled(self) -> bool:
        """Whether this engine has come to hold every pinned version that it can."""
        return self._has_settled

    def has_met(self, engine: Engine) -> bool:
        """Tell whether it is about this engine that the reconciler speaks."""
        return self._loader is not None and self._loader.engine is engine

    def unproven(self) -> list[AdapterVersionId]:
        """List the pinned versions that are not proven."""
        return [
            adapter.id
            for adapter in (self._wanted or {}).values()
            if adapter.pinned and self._state(adapter.id) is not State.PROVEN
        ]

    @property
    def has_orders(self) -> bool:
        """Whether the gateway has said what it wants."""
        return self._wanted is not None

    def report(self) -> dict[AdapterVersionId, ReplicaAdapter]:
        """Say where every version stands."""
        return {version: holding.as_reported() for version, holding in self.holdings.items()}

    async def run_once(self) -> None:
        """Make one pass: notice what is gone, unload, load, prove, tidy up.

        Raises:
            ServiceError: when the engine cannot be asked what it holds.
        """
        if self._loader is None or self._wanted is None:
            return
        listed = await self._loader.engine.adapters()
        self._notice_vanished(listed)
        self._follow_orders()
        await self._unload_idle(self._loader, listed)
        self._note_settled()
        while (version := self._next_to_load()) is not None:
            await self._load(version)
            self._follow_orders()
            self._note_settled()
        await self._tidy_files()

    def _note_settled(self) -> None:
        if all(self._state(version) is State.FAILED for version in self.unproven()):
            self._has_settled = True

    def _notice_vanished(self, listed: Mapping[str, str]) -> None:
        loaded = {v for v, h in self.holdings.items() if h.state in (State.PROVEN, State.UNLOADING)}
        gone = {v for v in loaded if listed.get(v) != str(self._cache.folder(v))}
        for version in gone:
            _log.warning("adapter.vanished", adapter=version)
            self._apply(version, Event.VANISHED)
        if gone and gone == loaded:
            # Nothing is left: behind the same address stands an engine that has just started.
            self._has_settled = False

    def _follow_orders(self) -> None:
        wanted = self._wanted or {}
        for version in wanted:
            self.holdings.setdefault(version, Holding(since=self._clock()))
        for version in list(self.holdings):
            self._apply(version, Event.WANTED if version in wanted else Event.DROPPED)

    async def _unload_idle(self, loader: Loader, listed: Mapping[str, str]) -> None:
        """Unload what was let go long enough ago, and what nobody here ordered."""
        now = self._clock()
        for version, path in listed.items():
            holding = self.holdings.get(version)
            if holding is None:
                if self._is_ours(version, path):
                    await loader.unload(version)
            elif (
                holding.state is State.UNLOADING
                and now - holding.since >= self._patience.drain_grace
            ):
                await loader.unload(version)
                self._apply(version, Event.UNLOADED)

    def _is_ours(self, version: str, path: str) -> bool:
        """Tell a version of ours from an adapter that somebody else gave to the engine."""
        with contextlib.suppress(AdapterUnusable):
            return str(self._cache.folder(version)) == path
        return False

    def _next_to_load(self) -> AdapterVersionId | None:
        """Choose the next version to load: pinned ones first, in the order given."""
        now = self._clock()
        due = [
            adapter
            for adapter in (self._wanted or {}).values()
            if self._state(adapter.id) is State.PENDING
            and self.holdings[adapter.id].retry_at <= now
        ]
        return min(due, key=lambda adapter: not adapter.pinned).id if due else None

    async def _load(self, version: AdapterVersionId) -> None:
        assert self._loader is not None
        wanted = (self._wanted or {})[version]
        self._apply(version, Event.STARTED)
        started = self._clock()
        try:
            shift = await self._loader.load(wanted)
        except (AdapterUnusable, EngineRefused) as error:
            self._refuse(version, error.message)
        except (ServiceError, OSError) as error:
            self._postpone(version, str(error))
        else:
            seconds = self._clock() - started
            self._metrics.load_seconds.observe(seconds)
            self._apply(version, Event.PROVEN)
            self.holdings[version] = replace(
                self.holdings[version],
                attempts=0,
                reason=None,
                load_seconds=round(seconds, 3),
                canary_shift=round(shift, 4),
            )
            _log.info("adapter.proven", adapter=version, seconds=seconds, shift=shift)

    def _refuse(self, version: AdapterVersionId, reason: str) -> None:
        self._apply(version, Event.REFUSED)
        self.holdings[version] = replace(self.holdings[version], reason=reason)
        self._metrics.load_failures.labels(kind="refused").inc()
        _log.error("adapter.refused", adapter=version, reason=reason)

    def _postpone(self, version: AdapterVersionId, reason: str) -> None:
        self._apply(version, Event.POSTPONED)
        holding = self.holdings[version]
        delay = self._patience.retry_delay * 2**holding.attempts
        self.holdings[version] = replace(
            holding,
            attempts=holding.attempts + 1,
            retry_at=self._clock() + min(delay, self._patience.max_retry_delay),
            reason=reason,
        )
        self._metrics.load_failures.labels(kind="postponed").inc()
        _log.warning("adapter.postponed", adapter=version, reason=reason)

    async def _tidy_files(self) -> None:
        """Delete files that have been of no use for the grace period."""
        now = self._clock()
        kept = await asyncio.to_thread(self._cache.kept)
        for version in kept:
            if version in self.holdings:
                self._idle_since.pop(version, None)
            elif now - self._idle_since.setdefault(version, now) >= self._patience.file_grace:
                await self._cache.forget(version)
                self._idle_since.pop(version, None)

    def _state(self, version: AdapterVersionId) -> State | None:
        holding = self.holdings.get(version)
        return holding.state if holding else None

    def _apply(self, version: AdapterVersionId, event: Event) -> None:
        after = self.holdings[version].after(event, self._clock())
        if after is None:
            del self.holdings[version]
        else:
            self.holdings[version] = after
        self._metrics.note_adapter(version, after.state if after else None)
