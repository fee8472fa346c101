"""When keys were last used, collected in memory and written in batches."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import bindparam, update

from services.gateway.registry import tables
from services.gateway.registry.database import Database, RegistryUnavailable


@dataclass(slots=True)
class KeyUsage:
    """Notes which keys were used; a crash loses the notes since the last writing."""

    database: Database
    clock: Callable[[], float] = time.time
    _used: dict[str, int] = field(default_factory=dict)

    def note(self, key_id: str) -> None:
        """Note that a key was used now."""
        self._used[key_id] = int(self.clock())

    async def close(self) -> None:
        """Write what is left; without the registry it is lost."""
        with contextlib.suppress(RegistryUnavailable):
            await self.write()

    async def write(self) -> None:
        """Write what was noted; what cannot be written stays for the next time."""
        if not self._used:
            return
        used, self._used = self._used, {}
        statement = (
            update(tables.keys)
            .where(tables.keys.c.id == bindparam("key"))
            .values(last_used_at=bindparam("at"), version=tables.keys.c.version)
        )
        try:
            async with self.database.append() as connection:
                await connection.execute(
                    statement, [{"key": key, "at": used[key]} for key in sorted(used)]
                )
        except BaseException:
            self._used = used | self._used
            raise
