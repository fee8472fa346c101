"""Keeping an engine running: prepared, started, watched, started again."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from dataclasses import replace

import aiohttp
import structlog

from services.chassis.errors import ServiceError
from services.chassis.http import Deadlines, Peer
from services.chassis.tracing import traces_endpoint
from services.domain.fingerprint import chat_template_hash
from services.generator.base_model import BaseModel, BaseModelMissing, locate
from services.generator.engine import Engine
from services.generator.engine_process import EngineProcess, running_engine
from services.generator.engine_state import EngineState, LiveEngine
from services.generator.launching import (
    Device,
    EnginePlan,
    command,
    default_cpu_threads,
    detect_device,
    environment,
)
from services.generator.metrics import Metrics
from services.generator.settings import EngineSettings, Settings

_log = structlog.get_logger(__name__)

POLL_SECONDS = 0.25
"""The pause between two looks at an engine that starts."""

WATCH_SECONDS = 1.0
"""The pause between two looks at an engine that runs."""

PROBE_TIMEOUT_SECONDS = 5.0
"""How long one health check may take."""

TOLERATED_MISSES = 10
"""Health checks in a row that a running engine may miss before it is started again."""


class EngineFailed(RuntimeError):
    """An engine ended, or did not come up in time."""


class EngineSupervisor:
    """Runs the engine, or watches one that somebody else runs; keeps an `EngineState` true."""

    def __init__(
        self,
        settings: Settings,
        session: aiohttp.ClientSession,
        state: EngineState,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._session = session
        self._state = state
        self._metrics = metrics

    async def run(self) -> None:
        """Keep an engine running until cancelled."""
        options = self._settings.engine
        delay = options.restart_delay_seconds
        while True:
            try:
                await self._live_once()
            except (EngineFailed, ServiceError, OSError) as error:
                reason = str(error)
                _log.warning("engine.failed", reason=reason)
            except Exception as error:  # noqa: BLE001 - a loop survives what one pass meets
                reason = repr(error)
                self._metrics.loop_failures.labels(loop="engine").inc()
                _log.exception("engine.crashed")
            if self._state.live is not None:
                delay = options.restart_delay_seconds
            self._state.went_down(reason)
            self._metrics.engine_up.set(0)
            self._metrics.engine_restarts.inc()
            await asyncio.sleep(delay)
            delay = min(2 * delay, options.max_restart_delay_seconds)

    async def _live_once(self) -> None:
        """Follow one engine from its start to its end, which is always an `EngineFailed`."""
        base = await asyncio.to_thread(self._located)
        self._state.base = base
        if (url := self._settings.engine_url) is not None:
            self._state.starts(f"waiting for the engine at {url}")
            await self._follow(base, url.rstrip("/"), started_by=None)
        else:
            await self._start_and_follow(base)

    def _located(self) -> BaseModel:
        settings = self._settings
        base = locate(settings.base_model, settings.models_dir, self._progressed)
        if template := settings.engine.chat_template:
            base = replace(base, chat_template_hash=chat_template_hash(template.read_text()))
        if not base.chat_template_hash:
            raise BaseModelMissing(
                f"{base.folder} has no chat template; name one by "
                "INKSTONE_GENERATOR_ENGINE__CHAT_TEMPLATE."
            )
        return base

    async def _start_and_follow(self, base: BaseModel) -> None:
        options = self._settings.engine
        port = options.port or free_port(options.host)
        plan = plan_engine(self._settings, base, port, await asyncio.to_thread(self._device))
        async with running_engine(
            command(plan),
            environment(plan, os.environ),
            self._settings.data_dir / "engine.log",
            patience_seconds=options.stop_timeout_seconds,
        ) as process:
            _log.info("engine.started", pid=process.pid, port=port, device=plan.device)
            host = "127.0.0.1" if options.host == "0.0.0.0" else options.host  # noqa: S104 - compared
            await self._follow(base, f"http://{host}:{port}", started_by=process)

    def _device(self) -> Device:
        chosen = self._settings.engine.device
        return detect_device() if chosen == "auto" else chosen

    async def _follow(self, base: BaseModel, url: str, started_by: EngineProcess | None) -> None:
        """Wait until an engine answers, announce it, and watch it until it is gone."""
        began = time.monotonic()
        self._state.url = url
        peer = self._peer(url, self._settings.adapters.load_timeout_seconds)
        probe = Engine(self._peer(url, PROBE_TIMEOUT_SECONDS), base.name)
        await self._wait_until_alive(probe, started_by)
        engine = Engine(peer, base.name)
        version = await engine.check_version()
        served_name, length = await engine.base_card()
        seconds = round(time.monotonic() - began, 1)
        self._metrics.engine_start_seconds.set(seconds)
        self._metrics.engine_up.set(1)
        _log.info("engine.alive", version=version, seconds=seconds)
        self._state.came_up(LiveEngine(Engine(peer, served_name), length, time.time()))
        await self._watch(probe, started_by)

    async def _wait_until_alive(self, engine: Engine, started_by: EngineProcess | None) -> None:
        seconds = self._settings.engine.start_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                while await engine.health() != "alive":
                    self._check_running(started_by)
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            raise EngineFailed(f"the engine did not answer within {seconds:.0f} s") from error

    async def _watch(self, engine: Engine, started_by: EngineProcess | None) -> None:
        misses = 0
        while misses < TOLERATED_MISSES:
            await asyncio.sleep(WATCH_SECONDS)
            self._check_running(started_by)
            match await engine.health():
                case "alive":
                    misses = 0
                case "silent":
                    misses += 1
                case "dead":
                    raise EngineFailed("the engine's core is dead; see its log")
        raise EngineFailed("the engine no longer answers its health check")

    def _check_running(self, process: EngineProcess | None) -> None:
        if process is None:
            return
        if process.exit_status is not None:
            log = self._settings.data_dir / "engine.log"
            raise EngineFailed(f"the engine ended with status {process.exit_status}; see {log}")
        if self._state.live is None:
            self._state.starts(process.phase())

    def _peer(self, url: str, seconds: float) -> Peer:
        key = self._settings.engine_api_key.get_secret_value()
        return Peer("engine", url, self._session, key, Deadlines(read=seconds, total=seconds))

    def _progressed(self, stage: str, done: int, total: int) -> None:
        self._state.starts(f"preparing the base: {stage} {100 * done // max(total, 1)}%")


def plan_engine(settings: Settings, base: BaseModel, port: int, device: Device) -> EnginePlan:
    """Decide how the engine is started."""
    options: EngineSettings = settings.engine
    return EnginePlan(
        folder=base.folder,
        served_name=base.name,
        host=options.host,
        port=port,
        api_key=settings.engine_api_key.get_secret_value(),
        cache_dir=settings.data_dir / "cache",
        device=device,
        max_loras=settings.max_loras,
        max_cpu_loras=settings.max_cpu_loras,
        max_lora_rank=settings.max_lora_rank,
        max_model_len=options.max_model_len,
        max_num_seqs=options.max_num_seqs,
        max_in_flight=options.max_in_flight,
        kv_cache_gib=options.kv_cache_gib,
        cpu_threads=options.cpu_threads or default_cpu_threads(),
        gpu_memory_utilization=options.gpu_memory_utilization,
        dtype=options.dtype,
        chat_template=options.chat_template,
        trust_remote_code=options.trust_remote_code,
        extra_arguments=options.extra_arguments,
        traces_endpoint=traces_endpoint(os.environ),
    )


def free_port(host: str) -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
