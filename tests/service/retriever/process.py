"""The retriever with a hashing embedder as a process of its own, to be killed:
`python -m tests.service.retriever.process FOLDER PORT
[change | tune | share CATALOGUE QDRANT SPOOL]`."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from services.chassis.serving import Listening, serve
from services.retriever.app import create_app
from services.retriever.settings import Jobs
from tests.fakes.hashing_embedder import HashingEmbedder, another_model
from tests.service.retriever.retriever import Client, Stores, settings_for

READY_SECONDS = 180


@contextlib.asynccontextmanager
async def retriever_process(
    folder: Path, port: int, session: aiohttp.ClientSession, *way: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, Client]]:
    """Run the process until it is killed, at the latest at the end of the context."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.service.retriever.process", str(folder), str(port), *way
    )
    try:
        client = Client(session, f"http://127.0.0.1:{port}")
        await _becomes_ready(process, client)
        yield process, client
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        await process.wait()


async def _becomes_ready(process: asyncio.subprocess.Process, client: Client) -> None:
    """Wait until the process is ready; one that does not become so says what it lacks, and why."""
    said = ""
    try:
        async with asyncio.timeout(READY_SECONDS):
            while said != "200":
                assert process.returncode is None
                await asyncio.sleep(0.05)
                said = await _readiness(client)
    except TimeoutError as error:
        process.send_signal(signal.SIGUSR1)
        await asyncio.sleep(1)
        raise AssertionError(f"not ready after {READY_SECONDS} s: {said}") from error


async def _readiness(client: Client) -> str:
    try:
        async with client.session.get(client.url + "/readyz") as reply:
            return "200" if reply.status == 200 else await reply.text()
    except aiohttp.ClientError as error:
        return str(error)


def _shares() -> bool:
    return sys.argv[3:4] == ["share"]


def main() -> None:
    """Serve until a signal."""
    faulthandler.register(signal.SIGUSR1)
    listening = Listening(port=int(sys.argv[2]), log_level="WARNING")
    # Small batches and short leases, so that a kill comes between many steps.
    jobs = Jobs(batch_chunks=16, lease_seconds=1.0)
    shared = Stores(sys.argv[4], sys.argv[5], Path(sys.argv[6])) if _shares() else None
    stores = shared.settings if shared else {}
    settings = settings_for(Path(sys.argv[1]), listening=listening, jobs=jobs, **stores)
    if sys.argv[3:] == ["tune"]:
        often = {"index_tune_after": 1, "index_look_seconds": 0.05}
        app = create_app(settings.model_copy(update=often), embedder=HashingEmbedder())
    elif sys.argv[3:] == ["change"]:
        slow = another_model(delay_seconds=0.05)
        app = create_app(settings, embedder=slow, previous_embedder=HashingEmbedder())
    else:
        app = create_app(settings, embedder=HashingEmbedder())
    serve(app, "retriever", listening)


if __name__ == "__main__":
    main()
