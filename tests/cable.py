"""A way to a Postgres server that can be pulled out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from sqlalchemy import make_url

from tests import postgres


@dataclass(slots=True)
class Cable:
    """A way to a server that can be pulled out."""

    host: str
    port: int
    plugged_in: bool = True
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def pull(self) -> None:
        self.plugged_in = False
        for writer in self._open:
            writer.transport.abort()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.plugged_in:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection(self.host, self.port)
        ends = {writer, far_writer}
        self._open |= ends
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
        self._open -= ends


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def cable(postgres_url: str) -> AsyncIterator[tuple[Cable, str]]:
    """Lay a cable to the Postgres server; yields it and the database's URL at its near end."""
    async with postgres.fresh_database(postgres_url) as url:
        parsed = make_url(url)
        laid = Cable(parsed.host or "localhost", parsed.port or 5432)
        server = await asyncio.start_server(laid.accept, "127.0.0.1", 0)
        near = parsed.set(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
        async with server:
            yield laid, near.render_as_string(hide_password=False)
            laid.pull()
