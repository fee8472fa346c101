"""The gateway as a process of its own: started by variables, killed at any moment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.fakes.agent import eventually
from tests.ports import free_port
from tests.service.gateway.gateway import Client, write_keys

START_SECONDS = 120


@dataclass(slots=True)
class GatewayProcess:
    """One gateway; after a kill it comes back at the same address."""

    home: Path
    session: aiohttp.ClientSession
    variables: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    running: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """Where it writes what happens."""
        return self.home / f"gateway-{self.port}.log"

    def client(self, key: str = "admin") -> Client:
        """A caller with one of the installation's keys."""
        return Client(self.session, self.url, write_keys(self.home / "keys")[key])

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process, without waiting for it."""
        environment = {
            **os.environ,
            "INKSTONE_GATEWAY_DATA_DIR": str(self.home / "gateway"),
            "INKSTONE_GATEWAY_BOOTSTRAP_KEYS_DIR": str(self.home / "keys"),
            "INKSTONE_GATEWAY_RETRIEVER_API_KEY": "unused",
            "INKSTONE_GATEWAY_LISTENING__PORT": str(self.port),
            **self.variables,
        }
        write_keys(self.home / "keys")
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "services.gateway"]
            self.running = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        return self.running

    async def start(self) -> subprocess.Popen[bytes]:
        """Start the process and wait until it answers."""
        started = self.launch()
        await self.until_ready()
        return started

    async def until_ready(self) -> None:
        """Wait until it answers."""

        async def ready() -> bool:
            assert self.running is not None
            assert self.running.poll() is None, self.log.read_text()
            with contextlib.suppress(aiohttp.ClientError):
                return (await self.client().get("/readyz")).status == 200
            return False

        await eventually(ready, seconds=START_SECONDS)

    async def kill(self) -> None:
        """End the process at once, with whatever it was doing."""
        if self.running is not None:
            self.running.send_signal(signal.SIGKILL)
            await asyncio.to_thread(self.running.wait)


@contextlib.asynccontextmanager
async def gateway_process(
    home: Path, session: aiohttp.ClientSession, variables: Mapping[str, str] | None = None
) -> AsyncIterator[GatewayProcess]:
    """Run one gateway for a block."""
    process = GatewayProcess(home, session, variables or {})
    try:
        await process.start()
        yield process
    finally:
        await process.kill()
