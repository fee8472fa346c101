"""A real agent between a fake gateway and a fake engine, all on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from pydantic import SecretStr

from services.chassis.artifacts import ArtifactStore
from services.contracts.adapters import DesiredAdapter, ReplicaAdapter, ReplicaReport
from services.generator.app import create_app
from services.generator.settings import AdapterSettings, EngineSettings, Settings
from tests.fakes.adapters import version_of, write_adapter
from tests.fakes.engine import FakeEngine
from tests.fakes.gateway import FakeGateway
from tests.fakes.loopback import running

DEADLINE_SECONDS = 30
"""How long a test waits for what must come; only a failing test waits so long."""

QUICK = AdapterSettings(
    retry_delay_seconds=0.01,
    max_retry_delay_seconds=0.05,
    drain_grace_seconds=0,
    file_grace_seconds=3600,
    reconcile_seconds=0.02,
)


@dataclass(slots=True)
class AgentStack:
    """The parts of one test."""

    folder: Path
    engine: FakeEngine
    gateway: FakeGateway
    engine_url: str
    url: str

    @property
    def store(self) -> ArtifactStore:
        """The artifact store that the agent reads."""
        return ArtifactStore(f"file://{self.folder}/artifacts")

    async def register(
        self, marker: str, *, name: str = "", pinned: bool = False, **config: Any
    ) -> DesiredAdapter:
        """Put an adapter into the store, as the gateway does when one is registered."""
        name = name or marker
        source = write_adapter(self.folder / "sources" / name / marker, marker, name=name, **config)
        whole = version_of(source)
        await self.store.put_folder(f"adapters/{name}/{whole[:12]}", source)
        return DesiredAdapter(id=f"{name}@{whole[:12]}", content_hash=whole, pinned=pinned)

    def local_folder(self, adapter: DesiredAdapter) -> Path:
        """Where the agent keeps a version's files."""
        return self.folder / "data" / "adapters" / Path(*adapter.id.split("@"))

    async def until(self, condition: Callable[[ReplicaReport], bool]) -> ReplicaReport:
        """Wait for a heartbeat that meets a condition."""
        report: ReplicaReport | None = None
        deadline = time.monotonic() + DEADLINE_SECONDS
        seen = 0
        while time.monotonic() < deadline:
            for report in self.gateway.reports[seen:]:
                seen += 1
                if condition(report):
                    return report
            await asyncio.sleep(0.005)
        raise AssertionError(f"no such heartbeat within {DEADLINE_SECONDS} s; the last: {report}")

    async def until_state(self, adapter: DesiredAdapter, state: str) -> ReplicaAdapter:
        """Wait until the agent reports a version in a state, from now on."""
        self.gateway.reports.clear()
        report = await self.until(
            lambda report: (
                adapter.id in report.adapters and report.adapters[adapter.id].state == state
            )
        )
        return report.adapters[adapter.id]

    async def until_gone(self, adapter: DesiredAdapter) -> None:
        """Wait until the agent no longer speaks of a version."""
        self.gateway.reports.clear()
        await self.until(lambda report: adapter.id not in report.adapters)

    async def get(self, path: str) -> tuple[int, str]:
        """Ask the agent itself."""
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as reply:
            return reply.status, await reply.text()

    async def until_ready(self) -> None:
        """Wait until the agent says that it is ready."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (answer := await self.get("/readyz"))[0] != 200:
            if time.monotonic() > deadline:
                raise AssertionError(f"never ready: {answer[1]}")
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def agent_stack(
    folder: Path,
    *,
    engine: FakeEngine | None = None,
    gateway: FakeGateway | None = None,
    adapters: AdapterSettings = QUICK,
    before: Callable[[AgentStack], Any] | None = None,
    **settings: Any,
) -> AsyncIterator[AgentStack]:
    """Run the stack.

    Args:
        before: is awaited with the stack before the agent starts.
    """
    engine, gateway = engine or FakeEngine(), gateway or FakeGateway()
    base = write_base(folder / "models" / "base")
    async with contextlib.AsyncExitStack() as stack:
        engine_url = await stack.enter_async_context(running(engine.app))
        gateway_url = await stack.enter_async_context(running(gateway.app))
        parts = AgentStack(folder, engine, gateway, engine_url, "")
        if before is not None:
            await before(parts)
        chosen: dict[str, Any] = {
            "gateway_url": gateway_url,
            "api_key": SecretStr("agent-key"),
            "engine_api_key": SecretStr("engine-key"),
            "engine_url": engine_url,
            "engine": EngineSettings(restart_delay_seconds=0.01, max_restart_delay_seconds=0.05),
            "adapters": adapters,
            "base_model": str(base),
            "models_dir": folder / "models",
            "data_dir": folder / "data",
            "artifacts_url": f"file://{folder}/artifacts",
            "replica": "replica-1",
            "heartbeat_seconds": 0.02,
        }
        app = create_app(Settings(**chosen | settings))
        parts.url = await stack.enter_async_context(running(app))
        yield parts


def write_base(folder: Path) -> Path:
    """Write a folder that is named like a base: nothing in it is ever loaded."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder
