"""Feedback: kept with the release and the arm that answered."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from services.chassis.errors import NotFound
from services.contracts.feedback import Feedback, FeedbackWrite
from services.gateway.registry import tables
from services.gateway.registry.changes import Registry
from services.gateway.registry.snapshot import Caller

_KEY = ("tenant", "key_id", "request_id")


class RequestNotFound(NotFound):
    """The key has asked no such request."""

    code = "request_not_found"


async def give(registry: Registry, caller: Caller, write: FeedbackWrite) -> Feedback:
    """Keep what a reader thought; given again it replaces what was given before.

    Raises:
        RequestNotFound: this key has asked no assistant under that id.
    """
    ledger, table = tables.ledger.c, tables.feedback
    asked = (
        select(ledger.assistant, ledger.release, ledger.arm, ledger.overridden, ledger.at)
        .where(
            ledger.tenant == caller.tenant,
            ledger.request_id == write.request_id,
            ledger.key_id == caller.key_id,
            ledger.arm != "shadow",
        )
        .order_by(ledger.at.desc())
        .limit(1)
    )
    async with registry.database.append() as connection:
        row = (await connection.execute(asked)).one_or_none()
        if row is None:
            raise RequestNotFound(
                f"This key has asked nothing under the id {write.request_id!r}; send the reply's "
                "inkstone.request_id with the key that asked.",
                param="request_id",
            )
        values = {
            "score": write.score,
            "comment": write.comment,
            "assistant": row.assistant,
            "release": row.release,
            "arm": row.arm,
            "overridden": row.overridden,
            "asked_at": row.at,
            "created_at": int(registry.clock()),
        }
        key = {"tenant": caller.tenant, "key_id": caller.key_id, "request_id": write.request_id}
        dialect = sqlite if registry.database.dialect == "sqlite" else postgresql
        kept = dialect.insert(table).values(**key, **values)
        await connection.execute(kept.on_conflict_do_update(index_elements=_KEY, set_=values))
    return Feedback(
        request_id=write.request_id,
        score=write.score,
        comment=write.comment,
        assistant=row.assistant,
        release=row.release,
        arm=row.arm,
        created_at=values["created_at"],
    )
