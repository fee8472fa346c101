"""The gateway as a process of its own: started by variables, killed at any moment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest

from tests.fakes.agent import eventually
from tests.ports import free_port
from tests.service.gateway.gateway import Client, write_keys

pytestmark = pytest.mark.anyio

START_SECONDS = 60


def start(home: Path, port: int, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "INKSTONE_GATEWAY_DATA_DIR": str(home / "gateway"),
        "INKSTONE_GATEWAY_BOOTSTRAP_KEYS_DIR": str(home / "keys"),
        "INKSTONE_GATEWAY_RETRIEVER_API_KEY": "unused",
        "INKSTONE_GATEWAY_LISTENING__PORT": str(port),
        **variables,
    }
    with (home / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "services.gateway"], env=environment, stderr=log
        )


@contextlib.asynccontextmanager
async def process(
    home: Path, session: aiohttp.ClientSession, variables: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Client, subprocess.Popen[bytes]]]:
    secrets, port = write_keys(home / "keys"), free_port()
    started = start(home, port, variables or {})
    client = Client(session, f"http://127.0.0.1:{port}", secrets["admin"])

    async def ready() -> bool:
        assert started.poll() is None, (home / "log").read_text()
        with contextlib.suppress(aiohttp.ClientError):
            return (await client.get("/readyz")).status == 200
        return False

    try:
        await eventually(ready, seconds=START_SECONDS)
        yield client, started
    finally:
        started.kill()
        await asyncio.to_thread(started.wait)


async def test_no_acknowledged_key_is_lost_when_the_gateway_is_killed(tmp_path: Path) -> None:
    acknowledged: list[str] = []

    async def issue(client: Client, worker: int) -> None:
        with contextlib.suppress(aiohttp.ClientError):
            while True:
                body = {"name": f"worker {worker}", "scopes": ["app"]}
                reply = await client.post("/admin/keys", json=body)
                assert reply.status == 201
                acknowledged.append(reply.body["id"])

    async with aiohttp.ClientSession() as session:
        async with process(tmp_path, session) as (client, started):
            writers = [asyncio.create_task(issue(client, worker)) for worker in range(4)]
            await eventually(lambda: len(acknowledged) >= 40)
            started.send_signal(signal.SIGKILL)
            await asyncio.gather(*writers)
        async with process(tmp_path, session) as (client, _):
            keys = (await client.get("/admin/keys?limit=1000")).body["data"]
            assert set(acknowledged) <= {key["id"] for key in keys}
            events = (await client.get("/admin/audit?limit=1000")).body["data"]
            issued = {e["subject"] for e in events if e["action"] == "key.issued"}
            assert issued == {key["id"] for key in keys}


async def test_a_stop_signal_ends_the_process_in_order(tmp_path: Path) -> None:
    async with (
        aiohttp.ClientSession() as session,
        process(tmp_path, session) as (client, started),
    ):
        assert (await client.get("/openapi.json")).status == 200
        started.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(started.wait, START_SECONDS)
        assert code in (0, -signal.SIGTERM)
        assert "Traceback" not in (tmp_path / "log").read_text()
