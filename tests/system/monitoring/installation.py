"""An installation of real processes, with an engine that is the tests' stand-in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.fakes.adapters import version_of, write_adapter
from tests.fakes.engine import FakeEngine
from tests.fakes.loopback import running
from tests.ports import free_port
from tests.service.gateway.chat_stack import pack
from tests.service.gateway.gateway import Client, Reply, write_keys
from tests.service.generator.agent_stack import write_base
from tests.system.monitoring.processes import service, until_answered

ENGINE_KEY = "engine-key"
RETRIEVER_KEY = "retriever-key"
PORTS = ("gateway", "retriever", "generator", "tuner")
DEADLINE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Installation:
    """What a test asks, and what Prometheus scrapes."""

    folder: Path
    session: aiohttp.ClientSession
    engine: FakeEngine
    keys: dict[str, str]
    urls: dict[str, str]
    """By service; the engine is one of them."""

    def client(self, key: str | None) -> Client:
        """A caller with a key."""
        return Client(self.session, self.urls["gateway"], key)

    async def admin(self, method: str, path: str, **options: Any) -> Any:
        """Do something that must work."""
        reply = await self.client(self.keys["admin"]).call(method, path, **options)
        assert reply.status < 300, reply
        return reply.body

    async def ask(self, model: str, question: str, **fields: Any) -> Reply:
        """Send one question as an app."""
        body = {"model": model, "messages": [{"role": "user", "content": question}], **fields}
        return await self.client(self.keys["app"]).post("/v1/chat/completions", json=body)

    async def adapter(self, marker: str) -> str:
        """Register an adapter and return its version."""
        folder = write_adapter(self.folder / "adapters" / marker, marker)
        await self.admin("POST", "/admin/adapters", data=pack(folder))
        return f"{marker}@{version_of(folder)[:12]}"

    async def until_live(self) -> None:
        """Wait until everything answers, and the replica is ready."""
        for url in self.urls.values():
            path = "/health" if url == self.urls["engine"] else "/healthz"
            await until_answered(self.session, url + path)
        await until_answered(self.session, self.urls["retriever"] + "/readyz")
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not any(one["ready"] for one in await self.replicas()):
                await asyncio.sleep(0.1)

    async def replicas(self) -> list[dict[str, Any]]:
        """What the gateway knows of its replicas."""
        listed: list[dict[str, Any]] = (await self.admin("GET", "/admin/replicas"))["data"]
        return listed


@contextlib.asynccontextmanager
async def installation(
    folder: Path,
    models: Path,
    database_url: str | None,
    *,
    gateway: Mapping[str, str],
    variables: Mapping[str, str],
) -> AsyncIterator[Installation]:
    """Run the gateway, the retriever, the agent and the tuner, each a process of its own.

    Args:
        gateway: further settings of the gateway, without their prefix.
        variables: of every process.
    """
    keys = write_keys(folder / "keys")
    ports = {name: free_port() for name in PORTS}
    artifacts = (folder / "artifacts").as_uri()
    engine = FakeEngine(api_key=ENGINE_KEY)
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        urls = {"engine": await stack.enter_async_context(running(engine.app))}
        gateway_url = f"http://127.0.0.1:{ports['gateway']}"
        settings = {
            "gateway": {
                "DATA_DIR": str(folder / "gateway"),
                "BOOTSTRAP_KEYS_DIR": str(folder / "keys"),
                "RETRIEVER_URL": f"http://127.0.0.1:{ports['retriever']}",
                "RETRIEVER_API_KEY": RETRIEVER_KEY,
                "ENGINE_API_KEY": ENGINE_KEY,
                "ARTIFACTS_URL": artifacts,
                **({"DATABASE_URL": database_url} if database_url else {}),
                **gateway,
            },
            "retriever": {
                "API_KEY": RETRIEVER_KEY,
                "DATA_DIR": str(folder / "retriever"),
                "MODELS_DIR": str(models),
            },
            "generator": {
                "GATEWAY_URL": gateway_url,
                "API_KEY": keys["agent"],
                "ENGINE_API_KEY": ENGINE_KEY,
                "ENGINE_URL": urls["engine"],
                "BASE_MODEL": str(write_base(folder / "bases" / "base")),
                "MODELS_DIR": str(folder / "bases"),
                "DATA_DIR": str(folder / "generator"),
                "ARTIFACTS_URL": artifacts,
                "REPLICA": "replica-1",
            },
            "tuner": {
                "GATEWAY_URL": gateway_url,
                "API_KEY": keys["tuner"],
                "DATA_DIR": str(folder / "tuner"),
                "ARTIFACTS_URL": artifacts,
            },
        }
        for name, own in settings.items():
            urls[name] = await stack.enter_async_context(
                service(name, ports[name], folder, own, variables)
            )
        made = Installation(folder, session, engine, keys, urls)
        await made.until_live()
        yield made
