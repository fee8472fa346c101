"""The retriever as it is deployed: a process of its own, settings from the environment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp

from tests.ports import free_port
from tests.service.retriever.retriever import API_KEY, Client

READY_SECONDS = 180
"""Loading the libraries and the model takes long on a busy machine."""


@contextlib.asynccontextmanager
async def real_retriever(
    data: Path, models: Path, settings: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Client, asyncio.subprocess.Process]]:
    """Run the process until the context ends, or until it is killed."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.retriever",
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "INKSTONE_RETRIEVER_API_KEY": API_KEY,
            "INKSTONE_RETRIEVER_DATA_DIR": str(data),
            "INKSTONE_RETRIEVER_MODELS_DIR": str(models),
            "INKSTONE_RETRIEVER_LISTENING__PORT": str(port),
            **(settings or {}),
        },
    )
    try:
        async with aiohttp.ClientSession() as session:
            client = Client(session, f"http://127.0.0.1:{port}")
            await _ready(client, process)
            yield client, process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), READY_SECONDS)


async def _ready(client: Client, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(READY_SECONDS):
        while process.returncode is None:
            with contextlib.suppress(aiohttp.ClientError):
                async with client.session.get(client.url + "/readyz") as reply:
                    if reply.status == 200:
                        return
            await asyncio.sleep(0.1)
    raise RuntimeError(f"the retriever ended with {process.returncode}")
