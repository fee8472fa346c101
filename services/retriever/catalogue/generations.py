"""Which making of the index serves."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from services.retriever.catalogue.database import Database
from services.retriever.catalogue.tables import generations


@dataclass(frozen=True, slots=True)
class Generation:
    """The making that serves, and the one that is under way."""

    serving: int = 0
    building: int | None = None


class Generations:
    """Transactions about the index of one embedding model."""

    def __init__(self, database: Database, fingerprint: str) -> None:
        self._database = database
        self._fingerprint = fingerprint

    async def read(self) -> Generation:
        """Read which making serves; the first has the number 0."""
        this = generations.c.fingerprint == self._fingerprint
        async with self._database.read() as connection:
            row = (await connection.execute(select(generations).where(this))).one_or_none()
        return Generation() if row is None else Generation(row.serving, row.building)

    async def begin(self) -> int:
        """Note that a new making is under way, or find the one that is, and give its number."""
        now = await self.read()
        building = now.serving + 1 if now.building is None else now.building
        values = {"serving": now.serving, "building": building}
        noted = insert(generations).values(fingerprint=self._fingerprint, **values)
        async with self._database.write() as connection:
            await connection.execute(
                noted.on_conflict_do_update(index_elements=["fingerprint"], set_=values)
            )
        return building

    async def switch(self) -> None:
        """Make the making that is under way the one that serves."""
        this = generations.c.fingerprint == self._fingerprint
        switched = {"serving": generations.c.building, "building": None}
        async with self._database.write() as connection:
            await connection.execute(
                update(generations)
                .where(this, generations.c.building.is_not(None))
                .values(switched)
            )

    async def give_up(self) -> None:
        """Note that no new making is under way any more."""
        this = generations.c.fingerprint == self._fingerprint
        async with self._database.write() as connection:
            await connection.execute(update(generations).where(this).values(building=None))
