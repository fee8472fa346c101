"""The two arms of a rollout, compared from the ledger."""

from __future__ import annotations

import math

from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.rollouts import Analysis, ArmName, ArmSeen, CheckSeen, QuerySeen, RateSeen
from services.domain.rollouts.evidence import Finding, findings
from services.domain.rollouts.states import ACTIVE
from services.gateway.registry.arms import Span, Thresholds, paired_rates, rates
from services.gateway.registry.averages import averages
from services.gateway.registry.rollouts import Standing
from services.gateway.rollouts.deciding import Measured, Seen, checks_of, checks_unseen


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
    rollout, together = standing.rollout, _together(standing, since)
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


async def averages_of(connection: AsyncConnection, standing: Standing) -> dict[ArmName, ArmSeen]:
    """Average what the answers of both arms took while both answered; empty before they did."""
    if standing.serving_since is None:
        return {}
    together, rollout = _together(standing, standing.serving_since), standing.rollout
    releases: dict[ArmName, str] = {"stable": rollout.stable, "candidate": rollout.candidate}
    return {
        arm: await averages(connection, standing.tenant, release, together)
        for arm, release in releases.items()
    }


def _together(standing: Standing, since: float) -> Span:
    """Name the time in which both arms answer, or did."""
    over = standing.progress.state not in ACTIVE
    return Span(since, standing.rollout.entered_at if over else math.inf)


def _false_alarms(standing: Standing, analysis: Analysis) -> float:
    """Share the rate that bounds the whole rollout out to its comparisons."""
    comparisons = 2 if standing.rollout.shadow is not None else 1
    return analysis.false_rollback_rate / comparisons


def _thresholds(analysis: Analysis) -> Thresholds:
    costly = analysis.costly_after_usd
    return Thresholds(
        slow_after_ms=analysis.slow_after_ms,
        slow_stream_after_ms=analysis.slow_stream_after_ms,
        long_after_tokens=analysis.long_after_tokens,
        costly_after_usd=math.inf if costly is None else costly,
        unsupported_below=analysis.unsupported_below,
    )


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


def answered(measured: Measured) -> QuerySeen:
    """Write the answer to a query for the wire."""
    check = measured.check
    return QuerySeen(
        query=check.query,
        at_least=check.at_least,
        at_most=check.at_most,
        value=measured.value,
        why=measured.why,
        broken=measured.broken is not None,
    )
