"""What a Prometheus says of rollouts: asked beside the controller, which never waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import Template

import structlog

from services.chassis.errors import InvalidRequest
from services.contracts.rollouts import Analysis, QueryCheck
from services.domain.rollouts.states import State
from services.gateway.clients.prometheus import NoValue, Prometheus
from services.gateway.registry import rollouts
from services.gateway.registry.changes import Registry
from services.gateway.registry.rollouts import Standing
from services.gateway.rollouts.deciding import Measured

_log = structlog.get_logger(__name__)


class UnknownQuery(InvalidRequest):
    """The installation has no query of that name."""

    code = "unknown_query"


@dataclass(frozen=True, slots=True)
class _Answer:
    value: float | None
    why: str | None
    """Why there is no value."""
    at: float


@dataclass(slots=True)
class Measuring:
    """Asks the queries of the rollouts under way, and remembers the last answers."""

    registry: Registry
    prometheus: Prometheus | None
    """None where the installation has none."""
    queries: Mapping[str, str]
    """PromQL by name. `$tenant`, `$assistant`, `$stable` and `$candidate` stand for a rollout's."""
    fresh_seconds: float
    """An older answer says nothing any more."""
    _answers: dict[tuple[str, str], _Answer] = field(default_factory=dict)
    """By rollout and query."""

    def check(self, analysis: Analysis | None) -> None:
        """Refuse queries that nobody could ask.

        Raises:
            UnknownQuery: naming those that there are.
        """
        known = sorted(self.queries) if self.prometheus is not None else []
        for each in analysis.queries if analysis else ():
            if each.query not in known:
                raise UnknownQuery(
                    f"There is no query {each.query!r}; this installation has "
                    f"{', '.join(known) or 'none'}, set by INKSTONE_GATEWAY_PROMETHEUS__QUERIES.",
                    param="analysis.queries",
                )

    async def look(self) -> None:
        """Ask for every rollout whose candidate answers callers; without any, this asks nothing."""
        if self.prometheus is None:
            return
        async with self.registry.database.read() as connection:
            standing = await rollouts.active(connection)
        wanted = [
            (each, check.query)
            for each in standing
            if each.progress.state is State.CANARY and each.rollout.analysis is not None
            for check in each.rollout.analysis.queries
        ]
        answers = await asyncio.gather(*(self._ask(*one) for one in wanted))
        self._answers = {
            (each.rollout.id, query): answer
            for (each, query), answer in zip(wanted, answers, strict=True)
        }

    def of(self, standing: Standing) -> Sequence[Measured]:
        """Read what is known of a rollout's queries in its present step."""
        analysis = standing.rollout.analysis
        return [self._measured(standing, check) for check in analysis.queries] if analysis else []

    def _measured(self, standing: Standing, check: QueryCheck) -> Measured:
        answer = self._answers.get((standing.rollout.id, check.query))
        oldest = max(standing.rollout.entered_at, self.registry.clock() - self.fresh_seconds)
        if answer is None or answer.at < oldest:
            return Measured(check, None, "has not been answered yet")
        return Measured(check, answer.value, answer.why)

    async def _ask(self, standing: Standing, name: str) -> _Answer:
        # Taken before the answer is awaited: it is not newer than this.
        at = self.registry.clock()
        if self.prometheus is None or name not in self.queries:
            return _Answer(None, "is not set any more", at)
        rollout = standing.rollout
        query = Template(self.queries[name]).safe_substitute(
            tenant=standing.tenant,
            assistant=rollout.assistant,
            stable=rollout.stable,
            candidate=rollout.candidate,
        )
        try:
            return _Answer(await self.prometheus.value(query), None, at)
        except NoValue as error:
            _log.warning("rollout.query_failed", rollout=rollout.id, query=name, reason=str(error))
            return _Answer(None, str(error), at)
