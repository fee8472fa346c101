"""The processes that work on one catalogue: who is alive, and who looks after the whole.

A process joins with a row and renews it. Whose row has run out is taken for dead: what it was
writing is done again by the others. All must run the same embedding models, as a collection is
wholly one model's. A SQLite catalogue has one owner, who takes the place of whoever was before.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retriever.catalogue.database import Database
from services.retriever.catalogue.tables import members

FOR_EVER_SECONDS = 1e9
"""How long the only owner of a catalogue stays: until another takes its place."""


class OtherModelsError(Exception):
    """Another process works on the catalogue with other embedding models."""


class Members:
    """Transactions of one process about itself and the others."""

    def __init__(self, database: Database, lease_seconds: float) -> None:
        self._database = database
        self.lease_seconds = lease_seconds
        self.name = new_name()
        """This process among the members."""
        self.alone = database.dialect == "sqlite"
        """Whether nobody else can work on the catalogue."""
        self.in_touch = True
        """Whether the catalogue was reached when this process last showed itself."""
        self._models: list[str] = []

    async def join(self, models: Sequence[str]) -> None:
        """Become a member; from here on this process is alive to the others.

        Args:
            models: fingerprints of the embedding models that run, the current one first.

        Raises:
            OtherModelsError: a member that is alive runs others.
        """
        self._models = list(models)
        async with self._database.write() as connection:
            await self._join(connection)

    async def stay(self) -> None:
        """Show that this process is alive.

        Raises:
            OtherModelsError: it was taken for dead, and a member runs other models by now.
        """
        async with self._database.write() as connection:
            this = (members.c.name == self.name, members.c.alive_until >= time.time())
            stayed = update(members).where(*this).values(alive_until=self._until())
            if not (await connection.execute(stayed)).rowcount:
                await self._join(connection)

    async def leave(self) -> None:
        """Be a member no more."""
        async with self._database.write() as connection:
            await connection.execute(delete(members).where(members.c.name == self.name))

    async def leads(self) -> bool:
        """Tell whether this process is the one that looks after the whole: the oldest alive."""
        if self.alone:
            return True
        oldest = select(members.c.name).where(members.c.alive_until >= time.time())
        ordered = oldest.order_by(members.c.joined_at, members.c.name).limit(1)
        async with self._database.read() as connection:
            return await connection.scalar(ordered) == self.name

    async def _join(self, connection: AsyncConnection) -> None:
        gone = (members.c.alive_until < time.time() - self.lease_seconds) | (
            members.c.name == self.name
        )
        await connection.execute(delete(members) if self.alone else delete(members).where(gone))
        for row in await connection.execute(alive()):
            if row.models != self._models:
                raise OtherModelsError(
                    f"Retriever {row.name} works on this catalogue with the embedding models "
                    f"{row.models}, and this one runs {self._models}: stop all retrievers, then "
                    "start them with the same models."
                )
        clock = time.time()
        values = {"models": self._models, "joined_at": clock, "alive_until": self._until()}
        await connection.execute(insert(members).values(name=self.name, **values))

    def _until(self) -> float:
        return time.time() + (FOR_EVER_SECONDS if self.alone else self.lease_seconds)


def alive() -> Any:
    """Select the members that are alive."""
    return select(members).where(members.c.alive_until >= time.time())


def new_name() -> str:
    """Name a process, or a part of one, unlike every other."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
