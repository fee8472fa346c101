"""The two arms of a rollout, compared from the ledger."""

from __future__ import annotations

import math

from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.rollouts import Analysis, CheckSeen, RateSeen
from services.domain.rollouts.evidence import Finding, findings
from services.domain.rollouts.states import ACTIVE
from services.gateway.registry.arms import Span, Thresholds, paired_rates, rates
from services.gateway.registry.rollouts import Standing
from services.gateway.rollouts.deciding import Seen, checks_of, checks_unseen


async def seen_of(connection: AsyncConnection, standing: Standing) -> Seen | None:
    """Compare the arms while both answered; None without an analysis, or before they did."""
    analysis, since = standing.rollout.analysis, standing.serving_since
    if analysis is None:
        return None
    if since is not None:
        return await _seen(connection, standing, analysis, since)
    if standing.rollout.shadow is not None:
        return await _unseen(connection, standing, analysis)
    return None


async def _seen(
    connection: AsyncConnection, standing: Standing, analysis: Analysis, since: float
) -> Seen:
    """Compare what callers were answered since the candidate began to."""
    rollout, over = standing.rollout, standing.progress.state not in ACTIVE
    together = Span(since, rollout.entered_at if over else math.inf)
    tenant, thresholds = standing.tenant, _thresholds(analysis)
    stable, candidate = [
        await rates(connection, tenant, release, together, thresholds)
        for release in (rollout.stable, rollout.candidate)
    ]
    here = Span(rollout.entered_at)
    step = await rates(connection, tenant, rollout.candidate, here, thresholds)
    found = findings(
        checks_of(analysis), stable, candidate, false_alarms=_false_alarms(standing, analysis)
    )
    return Seen(found, step["errors"].trials)


async def _unseen(connection: AsyncConnection, standing: Standing, analysis: Analysis) -> Seen:
    """Compare requests with their copies, which the candidate answered unseen."""
    stable, candidate = await paired_rates(
        connection, standing.tenant, standing.rollout.candidate, _thresholds(analysis)
    )
    found = findings(
        checks_unseen(analysis), stable, candidate, false_alarms=_false_alarms(standing, analysis)
    )
    return Seen(found, candidate["errors"].trials)


def _false_alarms(standing: Standing, analysis: Analysis) -> float:
    """Share the rate that bounds the whole rollout out to its comparisons."""
    comparisons = 2 if standing.rollout.shadow is not None else 1
    return analysis.false_rollback_rate / comparisons


def _thresholds(analysis: Analysis) -> Thresholds:
    return Thresholds(analysis.slow_after_ms, analysis.long_after_tokens)


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
