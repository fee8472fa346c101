"""Replicas: what each last reported, and when."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.dialects import postgresql, sqlite

from services.contracts.adapters import Replica, ReplicaReport
from services.gateway.registry import tables
from services.gateway.registry.changes import Registry, Subject, bump


async def heartbeat(registry: Registry, report: ReplicaReport) -> None:
    """Keep a replica's report; only one that says something new is a change of the registry."""
    known = _known(registry, report.replica)
    now = registry.clock()
    if known is not None and known.live and _report_of(known) == report:
        async with registry.database.append() as connection:
            await connection.execute(
                update(tables.replicas)
                .where(tables.replicas.c.replica == report.replica)
                .values(last_heartbeat_at=now)
            )
    else:
        async with registry.database.write() as connection:
            await connection.execute(_upsert(registry, report, now))
            await bump(connection, {Subject.REPLICAS}, now)
    await registry.catch_up()


async def tend(registry: Registry, *, forget_seconds: float) -> None:
    """Judge again who is live, and forget who has been silent for long."""
    await registry.keeper.look_at_replicas()
    oldest = registry.clock() - forget_seconds
    if any(r.last_heartbeat_at < oldest for r in registry.keeper.current.replicas):
        async with registry.database.write() as connection:
            table = tables.replicas
            await connection.execute(delete(table).where(table.c.last_heartbeat_at < oldest))
            await bump(connection, {Subject.REPLICAS}, registry.clock())
        await registry.catch_up()


def _known(registry: Registry, replica: str) -> Replica | None:
    replicas = registry.keeper.current.replicas
    return next((known for known in replicas if known.replica == replica), None)


def _report_of(replica: Replica) -> ReplicaReport:
    fields = {name: getattr(replica, name) for name in ReplicaReport.model_fields}
    return ReplicaReport.model_validate(fields)


def _upsert(registry: Registry, report: ReplicaReport, now: float) -> Any:
    dialect = sqlite if registry.database.dialect == "sqlite" else postgresql
    values = {"report": report.model_dump(mode="json"), "last_heartbeat_at": now}
    return (
        dialect.insert(tables.replicas)
        .values(replica=report.replica, **values)
        .on_conflict_do_update(index_elements=["replica"], set_=values)
    )
