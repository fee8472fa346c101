"""Which versions are called directly, so that replicas hold those that were called last."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import bindparam, update

from services.gateway.registry import loading, tables
from services.gateway.registry.changes import Registry, Subject, bump

_Place = tuple[str, str]
"""Tenant and version."""


@dataclass(slots=True)
class AdapterUsage:
    """Notes direct calls; what a crash loses is asked for again by the next call."""

    registry: Registry
    renew_seconds: int
    """A version that is called all the time is written so often: the order need not be exact."""
    clock: Callable[[], float] = time.time
    _called: dict[_Place, int] = field(default_factory=dict)
    _written: dict[_Place, int] = field(default_factory=dict)

    def note(self, tenant: str, version: str, *, held: bool) -> None:
        """Note that a version was called now.

        Args:
            held: whether a replica answers with it, so that nothing need be done at once.
        """
        place, now = (tenant, version), int(self.clock())
        if not held or now - self._written.get(place, 0) >= self.renew_seconds:
            self._called[place] = now

    async def write(self) -> None:
        """Let replicas load what was called; what cannot be written stays for the next time.

        Gateways hear of it only where it changes which versions come first.
        """
        if not self._called:
            return
        called, self._called = self._called, {}
        table = tables.adapters
        statement = (
            update(table)
            .where(table.c.tenant == bindparam("of"), table.c.id == bindparam("called"))
            # One that an evaluation wants for longer keeps its place.
            .where(table.c.state == "registered", table.c.wanted_until < bindparam("at"))
            .values(wanted_until=bindparam("at"), version=table.c.version)
        )
        rows = [{"of": of, "called": id_, "at": at} for (of, id_), at in sorted(called.items())]
        try:
            async with self.registry.database.write() as connection:
                before = await loading.adapter_order(connection)
                await connection.execute(statement, rows)
                moved = await loading.adapter_order(connection) != before
                if moved:
                    await bump(connection, {Subject.ADAPTERS}, self.clock())
        except BaseException:
            self._called = called | self._called
            raise
        since = int(self.clock()) - self.renew_seconds
        recent = {place: at for place, at in self._written.items() if at > since}
        self._written = recent | called
        if moved:
            await self.registry.catch_up()
