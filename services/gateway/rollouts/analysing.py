"""The two arms of a rollout, compared from the ledger."""

from __future__ import annotations

import math

from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.rollouts import CheckSeen, RateSeen
from services.domain.rollouts.evidence import Finding, findings
from services.domain.rollouts.states import ACTIVE
from services.gateway.registry.arms import Span, rates
from services.gateway.registry.rollouts import Standing
from services.gateway.rollouts.deciding import Seen, checks_of


async def seen_of(connection: AsyncConnection, standing: Standing) -> Seen | None:
    """Compare the arms while both answered; None without an analysis, or before they did."""
    rollout, since = standing.rollout, standing.serving_since
    analysis = rollout.analysis
    if analysis is None or since is None:
        return None
    slow, over = analysis.slow_after_ms, standing.progress.state not in ACTIVE
    together = Span(since, rollout.entered_at if over else math.inf)
    stable, candidate = [
        await rates(connection, standing.tenant, release, together, slow_after_ms=slow)
        for release in (rollout.stable, rollout.candidate)
    ]
    step = await rates(
        connection,
        standing.tenant,
        rollout.candidate,
        Span(rollout.entered_at),
        slow_after_ms=slow,
    )
    found = findings(
        checks_of(analysis), stable, candidate, false_alarms=analysis.false_rollback_rate
    )
    return Seen(found, step["errors"].trials)


def shown(finding: Finding) -> CheckSeen:
    """Write a finding for the wire."""
    return CheckSeen.model_validate(
        {
            "check": finding.check.name,
            "margin": finding.check.margin,
            "stable": RateSeen(events=finding.stable.events, trials=finding.stable.trials),
            "candidate": RateSeen(events=finding.candidate.events, trials=finding.candidate.trials),
            "worse": finding.worse,
        }
    )
