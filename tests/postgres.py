"""A Postgres server for the tests: the one that is given, or a throw-away one of this machine."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.ports import free_port

GIVEN_URL = os.environ.get("INKSTONE_TEST_POSTGRES_URL")
"""A database of a server on which the tests may make and drop others."""

NOBODY = 65534
"""Whom the server runs as when the tests run as root, which it refuses."""

NOT_DURABLE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


def _binaries() -> Path | None:
    """Find the folder with `initdb` and `pg_ctl`; Debian keeps it out of the path."""
    known = shutil.which("initdb")
    folders = [Path(known).resolve().parent] if known else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    complete = (f for f in folders if (f / "initdb").exists() and (f / "pg_ctl").exists())
    return next(complete, None)


BINARIES = _binaries()

AVAILABLE = GIVEN_URL is not None or BINARIES is not None
"""Whether tests can run on Postgres here."""


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """Yield the URL of a database; a server that was started for it goes with all it holds."""
    if GIVEN_URL is not None:
        yield GIVEN_URL
        return
    with own_server(NOT_DURABLE) as server:
        yield server.url


@dataclass(frozen=True, slots=True)
class Server:
    """A server of a test's own, which can be stopped as if its machine had lost power."""

    folder: Path
    port: int
    options: Sequence[str]

    @property
    def url(self) -> str:
        """A database on it."""
        return f"postgresql://inkstone@127.0.0.1:{self.port}/postgres?ssl=disable"

    def start(self) -> None:
        """Start it, and wait until it has recovered what was committed."""
        given = f"-h 127.0.0.1 -p {self.port} -k '' " + " ".join(f"-c {o}" for o in self.options)
        log = str(self.folder / "log")
        _run(self.folder, "pg_ctl", "start", "-w", "-t", "60", "-l", log, "-o", given)

    def crash(self) -> None:
        """End every process of it at once, without a checkpoint."""
        _run(self.folder, "pg_ctl", "stop", "-m", "immediate")


@contextlib.contextmanager
def own_server(options: Sequence[str] = ()) -> Iterator[Server]:
    """Run a server for a block.

    Args:
        options: its settings, each `name=value`.
    """
    folder = Path(tempfile.mkdtemp(prefix="inkstone-postgres-"))
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    server = Server(folder, free_port(), options)
    made = ("-U", "inkstone", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
    try:
        _run(folder, "initdb", *made)
        server.start()
        try:
            yield server
        finally:
            server.crash()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path, tool: str, *arguments: str) -> None:
    """Run a tool of the server over the folder's data; root lends it another identity."""
    assert BINARIES is not None
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    done = subprocess.run(
        [BINARIES / tool, "-D", folder / "data", *arguments],
        cwd=folder,
        # Not a pipe: the server would inherit it, and keep the reader waiting for its end.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        **identity,
    )
    log = folder / "log"
    assert done.returncode == 0, log.read_text() if log.exists() else tool


@contextlib.asynccontextmanager
async def fresh_database(url: str) -> AsyncIterator[str]:
    """Hand out a new database of a server, which goes with what is connected to it."""
    name = f"inkstone_{secrets.token_hex(8)}"
    server = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"), isolation_level="AUTOCOMMIT"
    )
    try:
        async with server.connect() as connection:
            await connection.execute(text(f"CREATE DATABASE {name}"))
        yield make_url(url).set(database=name).render_as_string(hide_password=False)
        async with server.connect() as connection:
            await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        await server.dispose()


def leave_to_the_campaigns(
    items: Sequence[pytest.Item], folder: Path, every_time: tuple[str, ...]
) -> None:
    """Mark the tests of a folder that need not run on Postgres every time as long ones.

    Args:
        every_time: how the names of the modules begin whose tests do.
    """
    for item in items:
        on_postgres = item.path.parent == folder and "[postgres" in item.name
        if on_postgres and not item.path.stem.startswith(every_time):
            item.add_marker(pytest.mark.long)
