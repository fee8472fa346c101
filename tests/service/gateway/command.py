"""The `inkstone` command as a process of its own, whose output no log of the gateway gets into."""

from __future__ import annotations

import asyncio
import os
import sys

from tests.service.gateway.chat_stack import ChatStack


async def run(stack: ChatStack, *arguments: str, code: int = 0) -> str:
    """Run a command with the operator's key and return what it says."""
    environment = {
        **os.environ,
        "INKSTONE_URL": stack.gateway.base_url,
        "INKSTONE_API_KEY": stack.gateway.secrets["admin"],
        "COLUMNS": "200",
    }
    command = (sys.executable, "-m", "services.cli.main", *arguments)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment
    )
    said, _ = await process.communicate()
    assert process.returncode == code, said.decode()
    return said.decode()
