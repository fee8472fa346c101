"""Files to text through the parsing child, which is killed when a file takes too long."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator

import structlog

from services.retriever.children import Child, ChildDied, ChildFailed, start_child
from services.retriever.metrics import Metrics
from services.retriever.parsing.outcomes import FileCode, Parsed, Refused
from services.retriever.settings import Limits

FILES_A_CHILD = 500
"""Files after which the child is replaced, so that what a library leaks does not pile up."""

_CHILD = "services.retriever.parsing.process"
_log = structlog.get_logger(__name__)


class Parser:
    """Reads one file at a time; starts its child when the first file comes."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits = limits
        self._metrics = metrics
        self._turn = asyncio.Lock()
        self._stack = contextlib.AsyncExitStack()
        self._child: Child | None = None
        self._files = 0

    @property
    def child_pid(self) -> int | None:
        """The child's process id, when it runs."""
        return self._child.pid if self._child else None

    async def parse(self, name: str, content: bytes) -> Parsed | Refused:
        """Read a file, or say why it gives no text."""
        if len(content) > self._limits.max_file_bytes:
            return Refused(
                FileCode.TOO_LARGE,
                f"The file is larger than {self._limits.max_file_bytes} bytes; split it.",
            )
        async with self._turn:
            with self._metrics.parse_seconds.time():
                return await self._parse_in_child(name, content)

    async def _parse_in_child(self, name: str, content: bytes) -> Parsed | Refused:
        child = await self._running_child()
        seconds = self._limits.parse_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                parsed: Parsed | Refused = await child.call("parse", name, content)
                return parsed
        except TimeoutError:
            await self._replace(child)
            return Refused(FileCode.TIMEOUT, f"The file took longer than {seconds:g} s; split it.")
        except (ChildDied, ChildFailed) as error:
            await self._replace(child)
            _log.warning("file.crashed_the_parser", reason=str(error))
            return Refused(
                FileCode.CRASHED,
                "The reader broke off in the middle of the file; save it again or split it.",
            )
        except asyncio.CancelledError:
            # It is still busy with a file that nobody waits for.
            await self._replace(child)
            raise

    async def _running_child(self) -> Child:
        if self._child is not None and not self._child.died.is_set() and self._files:
            self._files -= 1
            return self._child
        await self.close()
        limits = self._limits
        self._child = await self._stack.enter_async_context(
            start_child(
                _CHILD,
                str(limits.parse_memory_bytes),
                str(math.ceil(limits.parse_timeout_seconds)),
                str(limits.max_unpacked_bytes),
                answers=(Parsed, Refused, FileCode),
            )
        )
        self._files = FILES_A_CHILD
        return self._child

    async def _replace(self, child: Child) -> None:
        """End a child at once; the next file gets a new one."""
        child.kill()
        await self.close()

    async def close(self) -> None:
        """End the child."""
        self._child = None
        await self._stack.aclose()


@contextlib.asynccontextmanager
async def open_parser(limits: Limits, metrics: Metrics) -> AsyncIterator[Parser]:
    """Read files for as long as the context lasts."""
    parser = Parser(limits, metrics)
    try:
        yield parser
    finally:
        await parser.close()
