"""A whole installation: gateway processes on one registry, and replicas with the real agent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from pydantic import SecretStr

from services.generator.app import create_app
from services.generator.settings import AdapterSettings, EngineSettings, Settings
from tests.fakes.adapters import write_adapter
from tests.fakes.agent import eventually
from tests.fakes.engine import FakeEngine
from tests.fakes.loopback import running
from tests.fakes.retriever import API_KEY, FakeRetriever
from tests.service.gateway.chat_stack import pack
from tests.service.gateway.gateway import Client, Reply, write_keys
from tests.service.gateway.process import GatewayProcess
from tests.service.generator.agent_stack import write_base

ENGINE_KEY = "engine-key"
READY_SECONDS = 60

QUICK_ENGINE = EngineSettings(restart_delay_seconds=0.05, max_restart_delay_seconds=0.2)
QUICK_ADAPTERS = AdapterSettings(
    retry_delay_seconds=0.05, max_retry_delay_seconds=0.2, reconcile_seconds=0.05
)


@dataclass(slots=True)
class ReplicaUnderTest:
    """An engine and the agent beside it."""

    name: str
    engine: FakeEngine
    _agent: contextlib.AsyncExitStack

    async def kill_agent(self) -> None:
        """Let the agent fall silent; its engine goes on."""
        await self._agent.aclose()


@dataclass(slots=True)
class Installation:
    """What a test or a benchmark of the whole works with."""

    folder: Path
    session: aiohttp.ClientSession
    retriever: FakeRetriever
    gateways: list[GatewayProcess] = field(default_factory=list)
    replicas: list[ReplicaUnderTest] = field(default_factory=list)

    def admin(self, gateway: int = 0) -> Client:
        """The operator, at one of the gateways."""
        return self.gateways[gateway].client()

    async def adapter(self, marker: str) -> str:
        """Register an adapter whose answers begin with its marker."""
        folder = write_adapter(self.folder / "adapters" / marker, marker)
        reply = await self.admin().post("/admin/adapters", data=pack(folder))
        assert reply.status in (200, 201), reply
        return str(reply.body["id"])

    async def bind(self, name: str = "support", **bundle: Any) -> dict[str, Any]:
        """Bind an assistant."""
        reply = await self.admin().put(f"/admin/assistants/{name}", json=bundle)
        assert reply.status == 200, reply
        return dict(reply.body)

    async def ask(self, gateway: int = 0, content: str = "How long?", **fields: Any) -> Reply:
        """Send one question to one of the gateways."""
        messages = [{"role": "user", "content": content}]
        body = {"model": "support", "messages": messages, **fields}
        return await self.gateways[gateway].client("app").post("/v1/chat/completions", json=body)

    async def until_ready(self, replicas: int) -> None:
        """Wait until every gateway that runs knows so many ready replicas."""

        async def ready() -> bool:
            for gateway in self.gateways:
                page = (await gateway.client().get("/admin/replicas")).body["data"]
                if sum(replica["ready"] for replica in page) != replicas:
                    return False
            return True

        await eventually(ready, seconds=READY_SECONDS)


@contextlib.asynccontextmanager
async def installation(
    folder: Path,
    *,
    gateways: int = 2,
    replicas: int = 2,
    database_url: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> AsyncIterator[Installation]:
    """Run an installation.

    Args:
        variables: settings of every gateway, without their prefix.
    """
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        retriever = FakeRetriever()
        given = {
            "RETRIEVER_URL": await stack.enter_async_context(running(retriever.app)),
            "RETRIEVER_API_KEY": API_KEY,
            "ENGINE_API_KEY": ENGINE_KEY,
            **({"DATABASE_URL": database_url} if database_url else {}),
            **(variables or {}),
        }
        environment = {f"INKSTONE_GATEWAY_{name}": value for name, value in given.items()}
        made = Installation(folder, session, retriever)
        for _ in range(gateways):
            gateway = GatewayProcess(folder, session, environment)
            stack.push_async_callback(gateway.kill)
            await gateway.start()
            made.gateways.append(gateway)
        for number in range(replicas):
            gateway = made.gateways[number % gateways]
            made.replicas.append(await _replica(stack, folder, number, gateway.url))
        await made.until_ready(replicas)
        yield made


async def _replica(
    stack: contextlib.AsyncExitStack, folder: Path, number: int, gateway_url: str
) -> ReplicaUnderTest:
    name, engine = f"replica-{number + 1}", FakeEngine(api_key=ENGINE_KEY)
    engine_url = await stack.enter_async_context(running(engine.app))
    agent = await stack.enter_async_context(contextlib.AsyncExitStack())
    settings = Settings(
        gateway_url=gateway_url,
        api_key=SecretStr(write_keys(folder / "keys")["agent"]),
        engine_api_key=SecretStr(ENGINE_KEY),
        engine_url=engine_url,
        engine=QUICK_ENGINE,
        adapters=QUICK_ADAPTERS,
        base_model=str(await asyncio.to_thread(write_base, folder / "models" / "base")),
        models_dir=folder / "models",
        data_dir=folder / name,
        artifacts_url=(folder / "gateway" / "artifacts").absolute().as_uri(),
        replica=name,
        heartbeat_seconds=0.1,
    )
    await agent.enter_async_context(running(create_app(settings)))
    return ReplicaUnderTest(name, engine, agent)
