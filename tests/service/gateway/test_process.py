"""The gateway as a process of its own: started by variables, killed at any moment."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.fakes.agent import eventually
from tests.service.gateway.gateway import Client
from tests.service.gateway.process import START_SECONDS, gateway_process

pytestmark = pytest.mark.anyio


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
        async with gateway_process(tmp_path, session) as process:
            client = process.client()
            writers = [asyncio.create_task(issue(client, worker)) for worker in range(4)]
            await eventually(lambda: len(acknowledged) >= 40)
            await process.kill()
            await asyncio.gather(*writers)
            await process.start()
            keys = (await client.get("/admin/keys?limit=1000")).body["data"]
            assert set(acknowledged) <= {key["id"] for key in keys}
            events = (await client.get("/admin/audit?limit=1000")).body["data"]
            issued = {e["subject"] for e in events if e["action"] == "key.issued"}
            assert issued == {key["id"] for key in keys}


async def test_a_stop_signal_ends_the_process_in_order(tmp_path: Path) -> None:
    async with (
        aiohttp.ClientSession() as session,
        gateway_process(tmp_path, session) as process,
    ):
        started = process.running
        assert started is not None
        assert (await process.client().get("/openapi.json")).status == 200
        started.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(started.wait, START_SECONDS)
        assert code in (0, -signal.SIGTERM)
        assert "Traceback" not in process.log.read_text()
