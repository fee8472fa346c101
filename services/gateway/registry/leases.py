"""Leases: work that one gateway does for all of them."""

from __future__ import annotations

from sqlalchemy import or_, update
from sqlalchemy.dialects import postgresql, sqlite

from services.gateway.registry import tables
from services.gateway.registry.changes import Registry


async def hold(registry: Registry, name: str, holder: str, *, seconds: float) -> bool:
    """Take a lease or keep it, and tell whether it is the holder's now.

    A lease whose time is over is anybody's. Clocks of gateways may differ, so that for a moment two
    may believe to hold it: what they do must be safe all the same.
    """
    table, now = tables.leases, registry.clock()
    dialect = sqlite if registry.database.dialect == "sqlite" else postgresql
    values = {"holder": holder, "until": now + seconds}
    free = or_(table.c.holder == holder, table.c.until < now)
    async with registry.database.write() as connection:
        fresh = dialect.insert(table).values(name=name, **values).on_conflict_do_nothing()
        if (await connection.execute(fresh)).rowcount:
            return True
        kept = update(table).where(table.c.name == name, free).values(**values)
        return bool((await connection.execute(kept)).rowcount)
