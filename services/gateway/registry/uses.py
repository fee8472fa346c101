"""What is in use, and by whom: nothing is taken away from under an assistant."""

from __future__ import annotations

from sqlalchemy import and_, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.errors import Conflict
from services.domain.rollouts.states import ACTIVE
from services.gateway.registry import tables


class CollectionInUse(Conflict):
    """An assistant looks things up in the collection."""

    code = "collection_in_use"


async def refuse_used_collection(connection: AsyncConnection, tenant: str, collection: str) -> None:
    """Refuse to remove a collection that a release in service, or on its way, looks into.

    Raises:
        CollectionInUse: with the assistants' names.
    """
    users = await _users(connection, tenant, collection)
    if users:
        raise CollectionInUse(
            f"{collection!r} is looked into by {', '.join(users)}; bind another collection there, "
            "or end the rollout, first."
        )


async def _users(connection: AsyncConnection, tenant: str, collection: str) -> list[str]:
    releases, rollouts, assistants = tables.releases.c, tables.rollouts.c, tables.assistants.c
    serving = and_(
        assistants.tenant == releases.tenant,
        assistants.name == releases.assistant,
        assistants.stable == releases.number,
    )
    coming = and_(
        rollouts.tenant == releases.tenant,
        rollouts.assistant == releases.assistant,
        rollouts.candidate == releases.number,
        rollouts.state.in_(ACTIVE),
    )
    used = or_(exists().where(serving), exists().where(coming))
    rows = await connection.execute(
        select(releases.assistant, releases.retrieval).where(releases.tenant == tenant, used)
    )
    looking = (row for row in rows if row.retrieval)
    return sorted({row.assistant for row in looking if collection in row.retrieval["collections"]})
