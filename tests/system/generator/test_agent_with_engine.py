"""The agent as a process with a real engine under it: adapters proven, engine killed, agent killed.

The tests stand in the order in which they happen to one agent, because a start costs half a minute.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from services.chassis.artifacts import ArtifactStore
from services.contracts.adapters import DesiredAdapter, ReplicaReport
from services.generator.supervision import free_port
from tests.fakes.adapters import version_of
from tests.fakes.gateway import FakeGateway
from tests.fakes.loopback import running
from tests.system.generator.engines import KEY, START_SECONDS
from tests.system.generator.subject import Subject
from tests.system.tiny_model import make_marker_adapter

pytestmark = [pytest.mark.anyio, pytest.mark.engine]


@dataclass(slots=True)
class RunningAgent:
    """An agent's process and what it talks to."""

    process: asyncio.subprocess.Process
    url: str
    gateway: FakeGateway
    folder: Path
    model: Path

    async def register(
        self, marker: str, *, pinned: bool = False, share: float = 1.0
    ) -> DesiredAdapter:
        """Put an adapter into the artifact store."""
        source = self.folder / "sources" / f"{marker}-{share}"
        make_marker_adapter(self.model, source, f"[{marker}]", share=share)
        whole = version_of(source)
        store = ArtifactStore(f"file://{self.folder}/artifacts")
        await store.put_folder(f"adapters/{marker}/{whole[:12]}", source)
        return DesiredAdapter(id=f"{marker}@{whole[:12]}", content_hash=whole, pinned=pinned)

    async def until(self, condition: Callable[[ReplicaReport], bool]) -> ReplicaReport:
        """Wait for a heartbeat, from now on, that meets a condition."""
        seen, deadline = len(self.gateway.reports), time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            for report in self.gateway.reports[seen:]:
                seen += 1
                if condition(report):
                    return report
            await asyncio.sleep(0.05)
        raise AssertionError(f"no such heartbeat; the last: {self.gateway.latest}")

    async def until_proven(self, *adapters: DesiredAdapter) -> ReplicaReport:
        """Wait until versions are proven and the replica takes requests."""
        return await self.until(
            lambda report: (
                report.engine == "ready"
                and all(
                    adapter.id in report.adapters and report.adapters[adapter.id].state == "proven"
                    for adapter in adapters
                )
            )
        )


@pytest.fixture(scope="module")
async def agent(
    tiny_model: Path, engine_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningAgent]:
    """Start an agent that starts an engine."""
    folder = tmp_path_factory.mktemp("agent")
    (folder / "data").mkdir()
    (folder / "data" / "cache").symlink_to(engine_cache)
    gateway, port = FakeGateway(heartbeat_seconds=0.1), free_port("127.0.0.1")
    async with running(gateway.app) as gateway_url:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.generator",
            env=os.environ | _settings(folder, tiny_model, gateway_url, port),
        )
        try:
            url = f"http://127.0.0.1:{port}"
            yield RunningAgent(process, url, gateway, folder, tiny_model)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


def _settings(folder: Path, model: Path, gateway_url: str, port: int) -> dict[str, str]:
    values = {
        "LISTENING__PORT": str(port),
        "GATEWAY_URL": gateway_url,
        "API_KEY": "agent-key",
        "ENGINE_API_KEY": KEY,
        "BASE_MODEL": str(model),
        "MODELS_DIR": str(folder / "models"),
        "DATA_DIR": str(folder / "data"),
        "ARTIFACTS_URL": f"file://{folder}/artifacts",
        "REPLICA": "replica-1",
        "MAX_LORAS": "2",
        "MAX_CPU_LORAS": "3",
        "MAX_LORA_RANK": "16",
        "ENGINE__DEVICE": "cpu",
        "ENGINE__MAX_MODEL_LEN": "1024",
        "ENGINE__MAX_NUM_SEQS": "4",
        "ENGINE__CPU_THREADS": "1",
        "ENGINE__STOP_TIMEOUT_SECONDS": "5",
        "ADAPTERS__DRAIN_GRACE_SECONDS": "0",
    }
    return {f"INKSTONE_GENERATOR_{name}": value for name, value in values.items()}


@contextlib.asynccontextmanager
async def engine_of(report: ReplicaReport) -> AsyncIterator[Subject]:
    """Speak to the engine that a heartbeat names."""
    async with aiohttp.ClientSession() as session:
        yield Subject(
            report.endpoint,
            KEY,
            session,
            lambda folder, *_: folder,
            is_real=True,
            base=report.base_model,
        )


async def test_adapters_are_proven_on_the_engine_and_answer_as_themselves(
    agent: RunningAgent,
) -> None:
    alpha, beta = await agent.register("alpha", pinned=True), await agent.register("beta")
    agent.gateway.desired = [alpha, beta]
    report = await agent.until_proven(alpha, beta)
    for adapter in (alpha, beta):
        shift = report.adapters[adapter.id].canary_shift
        assert shift is not None
        assert shift > 1
    async with engine_of(report) as engine:
        assert "[alpha]" in await engine.text(alpha.id)
        assert "[beta]" in await engine.text(beta.id)
        base = await engine.text()
        assert "[" not in base


async def test_until_the_engine_answers_the_agent_says_what_it_waits_for(
    agent: RunningAgent,
) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(agent.url + "/readyz") as reply:
            assert reply.status == 200
        async with session.get(agent.url + "/metrics") as reply:
            metrics = await reply.text()
    assert "inkstone_engine_up 1.0" in metrics
    assert "inkstone_adapter_load_seconds_count 2.0" in metrics
    first = agent.gateway.reports[0]
    assert (first.engine, first.engine_started_at) == ("starting", None)


async def test_an_adapter_without_effect_does_not_pass_on_the_engine(agent: RunningAgent) -> None:
    silent = await agent.register("gamma", share=0.0)
    wanted = agent.gateway.desired
    agent.gateway.desired = [*wanted, silent]
    report = await agent.until(
        lambda report: silent.id in report.adapters and report.adapters[silent.id].state == "failed"
    )
    assert "no effect" in str(report.adapters[silent.id].reason)
    async with engine_of(report) as engine:
        listed = (await engine.call("GET", "/v1/models")).body["data"]
        assert silent.id not in [model["id"] for model in listed]
    agent.gateway.desired = wanted
    await agent.until(lambda report: silent.id not in report.adapters)


async def test_a_killed_engine_has_its_adapters_back_before_it_takes_requests(
    agent: RunningAgent,
) -> None:
    alpha, beta = agent.gateway.desired
    before = await agent.until_proven(alpha, beta)
    seen = len(agent.gateway.reports)
    (server,) = children_of(agent.process.pid)
    core = next(pid for pid in children_of(server) if "EngineCore" in command_of(pid))
    os.kill(core, signal.SIGKILL)
    await agent.until(lambda report: report.engine != "ready")
    after = await agent.until_proven(alpha, beta)
    assert after.engine_started_at != before.engine_started_at
    for report in agent.gateway.reports[seen:]:
        if report.engine == "ready" and report.engine_started_at == after.engine_started_at:
            assert report.adapters[alpha.id].state == "proven"
    async with engine_of(after) as engine:
        assert "[alpha]" in await engine.text(alpha.id)
        assert "[beta]" in await engine.text(beta.id)


async def test_the_engine_does_not_outlive_a_killed_agent(agent: RunningAgent) -> None:
    (server,) = children_of(agent.process.pid)
    family = [server, *children_of(server)]
    assert len(family) > 1
    agent.process.kill()
    await agent.process.wait()
    deadline = time.monotonic() + 60
    while any(is_running(pid) for pid in family):
        assert time.monotonic() < deadline, [command_of(pid) for pid in family if is_running(pid)]
        await asyncio.sleep(0.1)


def children_of(pid: int) -> list[int]:
    """List a process's children."""
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


def command_of(pid: int) -> str:
    """Read how a process names itself."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_running(pid: int) -> bool:
    """Tell whether a process lives; one that only waits to be collected does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
