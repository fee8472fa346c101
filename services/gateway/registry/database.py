"""Opening the registry database: SQLite in a file, or Postgres by URL."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from services.chassis.database import Database, open_engine
from services.chassis.errors import Unavailable

__all__ = ["Database", "RegistryUnavailable", "open_database"]

_WRITER_LOCK = 0x1A_2B_57_0E


class RegistryUnavailable(Unavailable):
    """The registry database cannot be reached."""

    code = "registry_unavailable"


@contextlib.asynccontextmanager
async def open_database(url: str, *, connections: int = 5) -> AsyncIterator[Database]:
    """Connect to the registry and close every connection at the end."""
    async with open_engine(url, connections=connections) as engine:
        yield Database(engine, _WRITER_LOCK, _away)


def _away() -> RegistryUnavailable:
    return RegistryUnavailable("The registry database cannot be reached; try again shortly.")
