"""The `inkstone` command as a process of its own, whose output no log of the gateway gets into."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import sys
from collections.abc import Sequence

from tests.service.gateway.chat_stack import ChatStack


async def run(stack: ChatStack, *arguments: str, code: int = 0) -> str:
    """Run a command with the operator's key and return what it says."""
    process = await asyncio.create_subprocess_exec(
        *_command(arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=_environment(stack, columns=200),
    )
    said, _ = await process.communicate()
    assert process.returncode == code, said.decode()
    return said.decode()


async def run_on_a_terminal(stack: ChatStack, *arguments: str) -> str:
    """Run a command on a terminal of eighty columns and return everything that it writes there."""
    near, far = pty.openpty()
    environment = {**_environment(stack, columns=80), "TERM": "xterm"}
    process = await asyncio.create_subprocess_exec(
        *_command(arguments), stdin=far, stdout=far, stderr=far, env=environment
    )
    os.close(far)
    try:
        written = await asyncio.to_thread(_read_to_the_end, near)
    finally:
        os.close(near)
    assert await process.wait() == 0, written
    return written


def _read_to_the_end(terminal: int) -> str:
    written = bytearray()
    # Linux tells that nobody writes any more by an error, others by an end.
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 65_536):
            written += piece
    return written.decode()


def _command(arguments: Sequence[str]) -> Sequence[str]:
    return (sys.executable, "-m", "services.cli.main", *arguments)


def _environment(stack: ChatStack, *, columns: int) -> dict[str, str]:
    return {
        **os.environ,
        "INKSTONE_URL": stack.gateway.base_url,
        "INKSTONE_API_KEY": stack.gateway.secrets["admin"],
        "COLUMNS": str(columns),
    }
