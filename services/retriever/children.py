"""Calls to a child process of our own over a socket; `answers.py` is the loop inside it.

The child does work that would hold this process's interpreter lock or that may crash: it owns the
embedded index, it parses strangers' files. It ends when its parent does, whatever killed that,
because the socket then closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import os
import pickle
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

from services.retriever.answers import LENGTH, frame

_STOP_GRACE_SECONDS = 10.0
_SECRETS_PREFIX = "INKSTONE_"


class ChildDied(Exception):
    """The child ended before it answered."""


class ChildFailed(Exception):
    """The child answered with an exception; the text is its type and message."""


class Child:
    """A running child process; calls may overlap and are answered in order."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: Sequence[type] | None,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._answers = answers
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.died = asyncio.Event()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    async def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the child.

        Raises:
            ChildDied: the child ended first.
            ChildFailed: the function raised.
        """
        if self.died.is_set():
            raise ChildDied("the child has ended")
        number = next(self._numbers)
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._writer.write(frame((number, name, arguments)))
            with contextlib.suppress(ConnectionError):
                await self._writer.drain()
            return await future
        finally:
            self._waiting.pop(number, None)

    async def read_answers(self) -> None:
        """Hand answers to their callers until the child ends; then fail the calls still open."""
        try:
            while True:
                (size,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
                answer = await self._reader.readexactly(size)
                number, succeeded, value = _Answer(answer, self._answers).load()
                future = self._waiting.get(number)
                if future is None or future.done():
                    continue
                if succeeded:
                    future.set_result(value)
                else:
                    future.set_exception(ChildFailed(value))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except pickle.UnpicklingError:
            self.kill()
        finally:
            self.died.set()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ChildDied("the child ended before it answered"))

    def kill(self) -> None:
        """End the child at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def stop(self) -> None:
        """Close the socket, which ends the child after the call it is in; kill it if it lingers."""
        self._writer.close()
        try:
            async with asyncio.timeout(_STOP_GRACE_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()


@contextlib.asynccontextmanager
async def start_child(
    module: str, *arguments: str, answers: Sequence[type] | None = None
) -> AsyncIterator[Child]:
    """Start `python -m <module> <socket> <arguments>` and stop it at the end.

    The child inherits no setting of Inkstone, so no secret, and no terminal signal.

    Args:
        answers: the classes of which its answers may be, beside plain values, where strangers might
            have taken the child over; one that answers with anything else is killed.
    """
    ours, theirs = socket.socketpair()
    with theirs, contextlib.ExitStack() as unless_started:
        unless_started.enter_context(ours)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            str(theirs.fileno()),
            *arguments,
            pass_fds=(theirs.fileno(),),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            env={k: v for k, v in os.environ.items() if not k.startswith(_SECRETS_PREFIX)},
        )
        unless_started.pop_all()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    child = Child(process, reader, writer, answers)
    reading = asyncio.ensure_future(child.read_answers())
    try:
        yield child
    finally:
        await child.stop()
        await reading


class _Answer(pickle.Unpickler):
    """Reads one answer, and no class but those it may be of."""

    def __init__(self, answer: bytes, classes: Sequence[type] | None) -> None:
        super().__init__(io.BytesIO(answer))
        self._classes = classes

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if self._classes is None:
            return super().find_class(module_name, global_name)
        for known in self._classes:
            if (known.__module__, known.__qualname__) == (module_name, global_name):
                return known
        raise pickle.UnpicklingError(f"an answer may not hold {module_name}.{global_name}")
