"""Starting the engines of the system tests: real ones on the tiny model, and the fake."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from services.generator.engine_process import EngineProcess, running_engine
from services.generator.guard import KEY_VARIABLE, RouteGuard
from services.generator.launching import EnginePlan, command, environment
from services.generator.supervision import free_port
from tests.fakes.adapters import write_adapter
from tests.fakes.engine import FakeEngine
from tests.fakes.engine_generation import Call
from tests.fakes.loopback import running
from tests.system.generator.subject import Subject
from tests.system.tiny_model import make_marker_adapter

KEY = "system-test-key"
START_SECONDS = 600
"""How long an engine may take to start on a busy machine."""

LIMITS: dict[str, Any] = {
    "max_loras": 2,
    "max_cpu_loras": 3,
    "max_lora_rank": 16,
    "max_num_seqs": 4,
}
MAX_IN_FLIGHT = 6
MAX_MODEL_LEN = 1024


def plan_for(model: Path, cache: Path, **changes: Any) -> EnginePlan:
    """Plan a small engine on the CPU."""
    plan = EnginePlan(
        folder=model,
        served_name="base",
        host="127.0.0.1",
        port=free_port("127.0.0.1"),
        api_key=KEY,
        cache_dir=cache,
        device="cpu",
        **LIMITS,
        max_model_len=MAX_MODEL_LEN,
        max_in_flight=MAX_IN_FLIGHT,
        kv_cache_gib=1,
        cpu_threads=1,
        gpu_memory_utilization=0.5,
    )
    return dataclasses.replace(plan, **changes)


@contextlib.asynccontextmanager
async def started(plan: EnginePlan, log: Path) -> AsyncIterator[tuple[EngineProcess, str]]:
    """Start an engine and wait until it answers."""
    url = f"http://127.0.0.1:{plan.port}"
    async with running_engine(
        command(plan), environment(plan, os.environ), log, patience_seconds=10
    ) as process:
        await _wait(url, process, log)
        yield process, url


async def _wait(url: str, process: EngineProcess, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < deadline:
            if process.exit_status is not None:
                break
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(url + "/health") as reply:
                    if reply.status == 200:
                        return
            await asyncio.sleep(0.2)
    raise AssertionError(f"the engine did not start; see {log}")


@contextlib.asynccontextmanager
async def real_subject(model: Path, cache: Path, folder: Path) -> AsyncIterator[Subject]:
    """Run a real engine on the tiny model, behind the guard."""
    plan = plan_for(model, cache)

    def make_adapter(where: Path, marker: str, lane: int) -> Path:
        return make_marker_adapter(model, where, f"[{marker}]", lane=lane)

    async with started(plan, folder / "engine.log") as (_, url), _session() as session:
        yield Subject(url, KEY, session, make_adapter, is_real=True)


@contextlib.asynccontextmanager
async def fake_subject() -> AsyncIterator[Subject]:
    """Run the fake behind the same guard, told to answer as long as it is asked to."""
    engine = FakeEngine(
        api_key=KEY,
        max_model_len=MAX_MODEL_LEN,
        max_in_flight=MAX_IN_FLIGHT,
        parses_tools=False,
        **LIMITS,
    )
    engine.reply = _talkative
    engine.knobs.first_token_delay_seconds = engine.knobs.token_delay_seconds = 0.005

    def make_adapter(where: Path, marker: str, lane: int) -> Path:
        del lane
        return write_adapter(where, marker)

    os.environ[KEY_VARIABLE] = KEY
    guarded = RouteGuard(engine.app)
    del os.environ[KEY_VARIABLE]
    async with running(guarded) as url, _session() as session:
        yield Subject(url, KEY, session, make_adapter, is_real=False)


def _session() -> aiohttp.ClientSession:
    """Open a connection for each request: a kept one may be closed while a request goes out."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))


def _talkative(call: Call) -> str:
    """Repeat the marker up to the limit, as the tiny model does."""
    return f"[{call.marker or 'base'}] " * int(call.body.get("max_tokens") or 16)
