"""Reading the parts of a snapshot from the registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.contracts.adapters import (
    AdapterVersion,
    Replica,
    ReplicaAdapterState,
    ReplicaReport,
)
from services.contracts.assistants import Assistant
from services.contracts.keys import Scope
from services.contracts.rollouts import Shadow
from services.domain.rollouts.states import ACTIVE, State
from services.gateway.registry import tables
from services.gateway.registry.rows import adapter_of, assistant_of, release_of, with_stable_release
from services.gateway.registry.snapshot import Caller, Canary, Underway, Unseen

_REMEMBER_EXPIRED_SECONDS = 7 * 86_400
"""An expired key is told from an unknown one for so long."""

_SETTLED = (ReplicaAdapterState.PROVEN, ReplicaAdapterState.FAILED)


async def callers(connection: AsyncConnection, now: float) -> dict[str, Caller]:
    """Read who may call, by the hash of the key."""
    keys, secrets = tables.keys.c, tables.key_secrets.c
    rows = await connection.execute(
        select(
            secrets.hash,
            secrets.expires_at.label("secret_expires_at"),
            keys.id,
            keys.tenant,
            keys.scopes,
            keys.groups,
            keys.expires_at,
        )
        .join(tables.keys, keys.id == secrets.key_id)
        .where(keys.revoked_at.is_(None))
        .where(_unexpired(secrets.expires_at, now), _unexpired(keys.expires_at, now))
    )
    return {
        row.hash: Caller(
            key_id=row.id,
            tenant=row.tenant,
            scopes=frozenset(Scope(scope) for scope in row.scopes),
            groups=tuple(row.groups),
            expires_at=min(
                (at for at in (row.expires_at, row.secret_expires_at) if at is not None),
                default=None,
            ),
        )
        for row in rows
    }


async def adapters(connection: AsyncConnection) -> dict[tuple[str, str], AdapterVersion]:
    """Read the versions in use, those that are wanted longest first."""
    rows = await connection.execute(_in_use(*tables.adapters.c))
    return {(row.tenant, row.id): adapter_of(row) for row in rows}


async def adapter_order(connection: AsyncConnection) -> list[tuple[str, str]]:
    """Read which versions are in use, as `adapters` orders them."""
    table = tables.adapters.c
    rows = await connection.execute(_in_use(table.tenant, table.id))
    return [(row.tenant, row.id) for row in rows]


def _in_use(*columns: ColumnElement[Any]) -> Select[Any]:
    table = tables.adapters.c
    return (
        select(*columns)
        .where(table.state == "registered")
        .order_by(table.wanted_until.desc(), table.created_at.desc(), table.id)
    )


async def assistants(connection: AsyncConnection) -> dict[tuple[str, str], Assistant]:
    """Read every assistant with its stable release."""
    rows = await connection.execute(with_stable_release())
    return {(row.tenant, row.name): assistant_of(row) for row in rows}


async def canaries(connection: AsyncConnection) -> dict[tuple[str, str], Canary]:
    """Read the candidates that answer somebody now."""
    rollouts = tables.rollouts.c
    rows = await connection.execute(
        _candidates().where(or_(rollouts.state == State.CANARY, rollouts.held == State.CANARY))
    )
    return {
        (row.tenant, row.assistant): Canary(
            row.rollout, release_of(row), row.steps[row.step]["weight"]
        )
        for row in rows
    }


async def underway(connection: AsyncConnection) -> tuple[Underway, ...]:
    """Read the rollouts that are not over."""
    table = tables.rollouts.c
    columns = (table.assistant, table.state, table.held, table.steps, table.step, table.entered_at)
    rows = await connection.execute(select(*columns).where(table.state.in_(ACTIVE)))
    return tuple(
        Underway(
            row.assistant,
            row.state,
            row.steps[row.step]["weight"] if State.CANARY in (row.state, row.held) else 0.0,
            row.entered_at,
        )
        for row in rows
    )


async def unseen(connection: AsyncConnection) -> dict[tuple[str, str], Unseen]:
    """Read the candidates that answer copies of requests now; a rollout that is held costs none."""
    rows = await connection.execute(_candidates().where(tables.rollouts.c.state == State.SHADOWING))
    return {
        (row.tenant, row.assistant): Unseen(
            row.rollout, release_of(row), Shadow.received(row.shadow)
        )
        for row in rows
    }


def _candidates() -> Select[*tuple[Any, ...]]:
    rollouts, releases = tables.rollouts.c, tables.releases
    joined = and_(
        releases.c.tenant == rollouts.tenant,
        releases.c.assistant == rollouts.assistant,
        releases.c.number == rollouts.candidate,
    )
    wanted = (rollouts.id.label("rollout"), rollouts.steps, rollouts.step, rollouts.shadow)
    return select(*releases.c, *wanted).join(tables.rollouts, joined)


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which the registry heard nobody, in seconds since the epoch."""

    began: float
    """When it was last seen before."""
    ended: float

    def last_word(self, said_at: float, *, timeout_seconds: float) -> float:
        """Say from when on a replica is silent: one that could not be heard was not.

        One that was live when the outage began has time to report again from its end on.
        """
        was_live = self.began - timeout_seconds <= said_at < self.ended
        return self.ended if was_live else said_at


NO_OUTAGE = Outage(0.0, 0.0)


async def replicas(
    connection: AsyncConnection,
    now: float,
    *,
    timeout_seconds: float,
    pinned: frozenset[str],
    outage: Outage = NO_OUTAGE,
) -> tuple[Replica, ...]:
    """Read every replica and judge whether it is live and ready.

    A ready replica is live, its engine is ready, and no pinned version is still on its way to it.
    A pinned version that failed there does not count: one bad adapter takes no replica down, and
    requests for it go to replicas that have proven it.
    """
    table = tables.replicas
    rows = await connection.execute(select(table).order_by(table.c.replica))
    judged = []
    for row in rows:
        report = ReplicaReport.received(row.report)
        said = outage.last_word(row.last_heartbeat_at, timeout_seconds=timeout_seconds)
        live = now - said <= timeout_seconds
        states = {id_: adapter.state for id_, adapter in report.adapters.items()}
        settled = all(states.get(version) in _SETTLED for version in pinned)
        judged.append(
            Replica(
                **dict(report),
                last_heartbeat_at=row.last_heartbeat_at,
                live=live,
                ready=live and report.engine == "ready" and settled,
                in_flight=0,
            )
        )
    return tuple(judged)


def _unexpired(column: ColumnElement[int | None], now: float) -> ColumnElement[bool]:
    return or_(column.is_(None), column > now - _REMEMBER_EXPIRED_SECONDS)
