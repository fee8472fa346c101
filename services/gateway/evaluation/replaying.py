"""Replay: the cases of a set, asked of both arms of a canary that has few callers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

import structlog
from prometheus_client import Counter

from services.chassis.errors import ServiceError
from services.contracts.rollouts import Replay
from services.domain.rollouts.states import State
from services.gateway.evaluation.asking import Asker, Away, in_the_name_of
from services.gateway.registry import evaluation_sets, leases, releases, rollouts
from services.gateway.registry.changes import Registry
from services.gateway.registry.rollouts import Standing

LEASE = "replay"

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Turn:
    """Where the replay of one rollout is."""

    asked: int = 0
    due: float = 0.0
    """When the next case may be asked, by the monotonic clock."""


@dataclass(frozen=True, slots=True)
class Replayer:
    """Asks cases of the arms of rollouts, at the pace that each rollout names."""

    registry: Registry
    asker: Asker
    lease_seconds: float
    asked: Counter
    """Counts the cases that both arms answered."""
    name: str = field(default_factory=lambda: uuid4().hex)
    """What this gateway calls itself as the lease's holder."""
    clock: Callable[[], float] = time.monotonic
    _turns: dict[str, Turn] = field(default_factory=dict)

    async def look(self) -> None:
        """Ask one case of every rollout whose time has come."""
        async with self.registry.database.read() as connection:
            standing = [each for each in await rollouts.active(connection) if _replay(each)]
        for over in self._turns.keys() - {each.rollout.id for each in standing}:
            del self._turns[over]
        due = [each for each in standing if self._turn(each).due <= self.clock()]
        if not due or not await leases.hold(
            self.registry, LEASE, self.name, seconds=self.lease_seconds
        ):
            return
        for each in due:
            try:
                await self._ask(each)
            except (Away, ServiceError) as error:
                _log.info("replay.waiting", rollout=each.rollout.id, why=str(error))

    async def _ask(self, standing: Standing) -> None:
        rollout, replay, turn = standing.rollout, _replay(standing), self._turn(standing)
        assert replay is not None
        turn.due = self.clock() + 60 / replay.per_minute
        tenant = standing.tenant
        async with self.registry.database.read() as connection:
            found = await evaluation_sets.find(connection, tenant, replay.cases)
            cases = await evaluation_sets.cases_of(
                connection, tenant, replay.cases, found.dataset_hash
            )
            stable = await releases.named(connection, tenant, rollout.stable)
            candidate = await releases.named(connection, tenant, rollout.candidate)
        caller = in_the_name_of(self.registry.keeper.current, tenant, rollout.created_by)
        case = cases[turn.asked % len(cases)]
        await self.asker.both(caller, case, stable, candidate, 0, counted=True)
        turn.asked += 1
        self.asked.inc()

    def _turn(self, standing: Standing) -> Turn:
        return self._turns.setdefault(standing.rollout.id, Turn())


def _replay(standing: Standing) -> Replay | None:
    """Read what a rollout replays while its candidate answers callers."""
    analysis = standing.rollout.analysis
    if analysis is None or standing.progress.state is not State.CANARY:
        return None
    return analysis.replay
