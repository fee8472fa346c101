"""The agent's background loops: each logs, counts and goes on."""

from __future__ import annotations

import asyncio

import structlog

from services.chassis.errors import ServiceError
from services.generator.adapters.reconciler import Reconciler
from services.generator.engine_state import EngineState, LiveEngine
from services.generator.heartbeat import Heartbeat
from services.generator.metrics import Metrics

_log = structlog.get_logger(__name__)

UNKNOWN_BASE_SECONDS = 0.25
"""The pause before another look while the base is not known yet."""


async def keep_reporting(heartbeat: Heartbeat, metrics: Metrics, seconds: float) -> None:
    """Send heartbeats at the gateway's pace until cancelled."""
    pause = seconds
    while True:
        try:
            asked = await heartbeat.beat()
            pause = UNKNOWN_BASE_SECONDS if asked is None else asked
            if asked is not None:
                metrics.heartbeats.labels(outcome="ok").inc()
        except ServiceError as error:
            pause = seconds
            metrics.heartbeats.labels(outcome="failed").inc()
            _log.warning("heartbeat.failed", code=error.code, reason=error.message)
        except Exception:  # noqa: BLE001 - a loop survives what one pass meets
            metrics.loop_failures.labels(loop="heartbeat").inc()
            _log.exception("heartbeat.crashed")
        await asyncio.sleep(pause)


async def keep_reconciling(
    reconciler: Reconciler, state: EngineState, metrics: Metrics, seconds: float
) -> None:
    """Bring the engine to the orders again and again until cancelled."""
    met: LiveEngine | None = None
    while True:
        try:
            if state.live is not met:
                met = state.live
                reconciler.meet(met.engine if met else None)
            await reconciler.run_once()
        except ServiceError as error:
            _log.warning("reconcile.postponed", code=error.code, reason=error.message)
        except Exception:  # noqa: BLE001 - a loop survives what one pass meets
            metrics.loop_failures.labels(loop="reconcile").inc()
            _log.exception("reconcile.crashed")
        await state.wait_for_change(seconds)
