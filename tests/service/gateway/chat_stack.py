"""The gateway with everything that a chat request meets: engines, agents, a retriever, apps."""

from __future__ import annotations

import asyncio
import contextlib
import io
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from openai import AsyncOpenAI

from services.contracts.adapters import ReplicaAdapter, ReplicaAdapterState, ReplicaReport
from services.gateway.registry import tables
from tests.fakes.adapters import version_of, write_adapter
from tests.fakes.engine import FakeEngine
from tests.fakes.loopback import running
from tests.service.gateway.gateway import GatewayUnderTest, Reply, gateway_under_test

ENGINE_KEY = "engine-key"
BEAT_SECONDS = 0.03
DEADLINE_SECONDS = 60


@dataclass(slots=True)
class Agent:
    """Stands for a replica's agent: reports its engine and loads what it is told to hold."""

    name: str
    endpoint: str
    engine: FakeEngine
    proves: bool = True
    """Whether what it loads becomes proven."""
    base_fingerprint: str = "0" * 12
    proves_not: set[str] = field(default_factory=set)
    """Names of adapters whose versions do not become proven."""
    max_loras: int = 4

    def proves_version(self, version: str) -> bool:
        """Tell whether a version that is loaded becomes proven."""
        return self.proves and version.partition("@")[0] not in self.proves_not

    def report(self) -> ReplicaReport:
        states = (ReplicaAdapterState.LOADING, ReplicaAdapterState.PROVEN)
        return ReplicaReport(
            replica=self.name,
            endpoint=self.endpoint,
            engine="ready",
            engine_started_at=1.0,
            base_model=self.engine.base_model,
            base_fingerprint=self.base_fingerprint,
            chat_template_hash="0" * 12,
            max_model_len=self.engine.max_model_len,
            max_loras=self.max_loras,
            max_cpu_loras=8,
            max_lora_rank=32,
            adapters={
                name: ReplicaAdapter(state=states[self.proves_version(name)])
                for name in self.engine.weights.loaded
            },
        )


@dataclass(slots=True)
class ChatStack:
    """What a chat test works with."""

    gateway: GatewayUnderTest
    folder: Path
    agents: list[Agent] = field(default_factory=list)
    _adapters: dict[str, Path] = field(default_factory=dict)
    """Where each version's folder lies, by id."""
    _beating: asyncio.Lock = field(default_factory=asyncio.Lock)
    _frozen: bool = False

    @property
    def engine(self) -> FakeEngine:
        """The only engine, or the first."""
        return self.agents[0].engine

    def openai(self, key: str = "app", **options: Any) -> AsyncOpenAI:
        """The official client; it never tries again by itself, so that nothing is hidden."""
        return AsyncOpenAI(
            base_url=f"{self.gateway.base_url}/v1",
            api_key=self.gateway.secrets[key],
            max_retries=0,
            **options,
        )

    async def adapter(self, marker: str) -> str:
        """Register an adapter whose answers begin with its marker."""
        folder = write_adapter(self.folder / "adapters" / marker, marker)
        reply = await self.gateway.admin.post("/admin/adapters", data=pack(folder))
        assert reply.status in (200, 201), reply
        version = f"{marker}@{version_of(folder)[:12]}"
        assert reply.body["id"] == version
        self.holds(version, folder)
        return version

    def holds(self, version: str, folder: Path) -> None:
        """Let the agents load a version from a folder."""
        self._adapters[version] = folder

    async def bind(self, name: str = "support", **bundle: Any) -> dict[str, Any]:
        """Bind an assistant."""
        reply = await self.gateway.admin.put(f"/admin/assistants/{name}", json=bundle)
        assert reply.status == 200, reply
        body: dict[str, Any] = reply.body
        return body

    async def ask(self, content: Any = "How long?", **fields: Any) -> Reply:
        """Send one question without the official client."""
        body = {
            "model": "support",
            "messages": [{"role": "user", "content": content}],
            **fields,
        }
        return await self.gateway.application.post("/v1/chat/completions", json=body)

    async def ledger(self, rows: int = 1) -> list[dict[str, Any]]:
        """Wait until the ledger holds so many rows, and read them in order."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                await self.gateway.resources.answering.write_ledger()
                async with self.gateway.resources.registry.database.read() as connection:
                    found = (await connection.execute(tables.ledger.select())).mappings().all()
                if len(found) >= rows:
                    return sorted(map(dict, found), key=lambda row: float(row["at"]))
                await asyncio.sleep(0.01)

    async def metric(self, name: str, **labels: str) -> float:
        """Read one series of `/metrics`; 0 when it does not exist yet."""
        value = self.gateway.resources.metrics.get_sample_value(f"inkstone_{name}", labels)
        return value or 0.0

    async def freeze(self) -> None:
        """Stop the heartbeats, so that what the gateway believes stays as it is for a while."""
        async with self._beating:
            self._frozen = True

    async def beat(self) -> None:
        """Send every agent's heartbeat, and let it load what it is told to."""
        async with self._beating:
            for agent in () if self._frozen else self.agents:
                await self._beat(agent)

    async def _beat(self, agent: Agent) -> None:
        body = agent.report().model_dump(mode="json")
        reply = await self.gateway.agent.post("/internal/replicas/heartbeat", json=body)
        if reply.status == 503:
            # The registry is away for a moment; an agent reports again at its next beat.
            return
        assert reply.status == 200, reply
        weights = agent.engine.weights
        for desired in reply.body["desired"]:
            if desired["id"] not in weights.loaded and desired["id"] in self._adapters:
                weights.load(desired["id"], str(self._adapters[desired["id"]]))


def pack(folder: Path) -> aiohttp.FormData:
    """Pack an adapter's folder as an operator would upload it."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for file in sorted(folder.iterdir()):
            tar.add(file, arcname=file.name)
    form = aiohttp.FormData()
    form.add_field("file", archive.getvalue(), filename="adapter.tar.gz")
    return form


async def until(condition: Any, *, seconds: float = DEADLINE_SECONDS) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def chat_stack(
    folder: Path, *engines: FakeEngine, **settings: Any
) -> AsyncIterator[ChatStack]:
    """Run a gateway over engines; without any, over one."""
    async with contextlib.AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(
            gateway_under_test(folder, engine_api_key=ENGINE_KEY, **settings)
        )
        made = ChatStack(gateway, folder)
        for number, engine in enumerate(engines or (FakeEngine(api_key=ENGINE_KEY),), start=1):
            url = await stack.enter_async_context(running(engine.app))
            made.agents.append(Agent(f"replica-{number}", url, engine))
        beating = asyncio.create_task(_beat_for_ever(made))
        stack.callback(beating.cancel)
        await until(lambda: len(gateway.resources.snapshot.replicas) == len(made.agents))
        yield made


async def _beat_for_ever(stack: ChatStack) -> None:
    while True:
        await stack.beat()
        await asyncio.sleep(BEAT_SECONDS)
