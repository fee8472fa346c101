"""Processes of a whole installation, each with its settings and its log."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp

START_SECONDS = 180


@contextlib.asynccontextmanager
async def process(
    log: Path, *command: str, variables: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a process beside the block, and end it afterwards."""
    with log.open("ab") as written:
        started = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, **(variables or {})}, stdout=written, stderr=written
        )
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(started.wait(), START_SECONDS)
        except TimeoutError:
            started.kill()


@contextlib.asynccontextmanager
async def service(
    name: str,
    port: int,
    folder: Path,
    settings: Mapping[str, str],
    others: Mapping[str, str],
) -> AsyncIterator[str]:
    """Run one service on a port; yields its URL at once, before it is ready."""
    prefix = f"INKSTONE_{name.upper()}_"
    variables = {**others, **{prefix + key: value for key, value in settings.items()}}
    variables[f"{prefix}LISTENING__PORT"] = str(port)
    log = folder / f"{name}.log"
    command = (sys.executable, "-m", f"services.{name}")
    async with process(log, *command, variables={**variables, "OMP_NUM_THREADS": "1"}):
        yield f"http://127.0.0.1:{port}"


async def until_answered(session: aiohttp.ClientSession, url: str) -> None:
    """Wait until a URL answers with 200."""
    async with asyncio.timeout(START_SECONDS):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(url) as reply:
                    if reply.status == 200:
                        return
            await asyncio.sleep(0.1)
