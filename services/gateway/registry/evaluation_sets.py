"""Sets of cases in the registry: put whole, named by their content, read by evaluations."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Row, Select, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.errors import Conflict, NotFound
from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.evaluations import EvaluationSet
from services.domain.evaluation.cases import dataset_hash
from services.gateway.registry import tables, versions
from services.gateway.registry.changes import Actor, Change, Registry
from services.gateway.registry.paging import Page, page_of
from services.gateway.registry.versions import Expected

_sets = tables.evaluation_sets
_CASES = TypeAdapter(list[EvaluationCase])


class EvaluationSetNotFound(NotFound):
    """The tenant has no such set."""

    code = "evaluation_set_not_found"


class EvaluationSetInUse(Conflict):
    """An evaluation under way asks the set's cases."""

    code = "evaluation_set_in_use"


class EvaluationSetChanged(Conflict):
    """Somebody else put other cases in between."""

    code = "evaluation_set_changed"


async def put(
    registry: Registry,
    actor: Actor,
    name: str,
    cases: Sequence[EvaluationCase],
    expected: Expected = None,
) -> EvaluationSet:
    """Make these the cases of a set; the same cases again change nothing.

    Raises:
        EvaluationSetChanged: the set is not at the expected version.
    """
    async with registry.change(actor) as change:
        return await set_cases(change, name, cases, expected)


async def set_cases(
    change: Change, name: str, cases: Sequence[EvaluationCase], expected: Expected = None
) -> EvaluationSet:
    """Make these the cases of a set, within a change.

    Raises:
        EvaluationSetChanged: the set is not at the expected version.
    """
    hash_, tenant = dataset_hash(cases), change.actor.tenant
    known = await _row(change.connection, tenant, name)
    version = known.version if known else None
    versions.check(_named(name), version, expected, EvaluationSetChanged)
    if known is None or known.hash != hash_:
        await _replace(change, name, hash_, cases, version=(version or 0) + 1)
        detail = {"dataset_hash": hash_, "cases": len(cases)}
        await change.record("evaluation_set.put", None, name, detail)
    return await find(change.connection, tenant, name)


async def find(connection: AsyncConnection, tenant: str, name: str) -> EvaluationSet:
    """Describe a set.

    Raises:
        EvaluationSetNotFound: the tenant has none of that name.
    """
    row = await _row(connection, tenant, name)
    if row is None:
        raise EvaluationSetNotFound(
            f"There is no evaluation set {name!r}; upload one with PUT /admin/evaluation-sets."
        )
    return _set_of(row)


async def cases_of(
    connection: AsyncConnection, tenant: str, name: str, hash_: str
) -> list[EvaluationCase]:
    """Read the cases that a set had under a hash."""
    found = await connection.scalar(
        select(_sets.c.cases).where(
            _sets.c.tenant == tenant, _sets.c.name == name, _sets.c.hash == hash_
        )
    )
    # A long set takes a while, and callers are answered meanwhile.
    return await asyncio.to_thread(_CASES.validate_python, found)


async def remove(registry: Registry, actor: Actor, name: str, expected: Expected = None) -> None:
    """Remove a set with its earlier contents; reports that were made with it stay.

    Raises:
        EvaluationSetChanged: the set is not at the expected version.
        EvaluationSetInUse: an evaluation with it is running.
    """
    async with registry.change(actor) as change:
        found = await find(change.connection, actor.tenant, name)
        versions.check(_named(name), found.version, expected, EvaluationSetChanged)
        table = tables.evaluations.c
        running = await change.connection.scalar(
            select(table.id).where(
                table.tenant == actor.tenant, table.cases == name, table.state == "running"
            )
        )
        if running is not None:
            raise EvaluationSetInUse(
                f"The evaluation {running!r} asks the cases of {name!r}; cancel it first."
            )
        mine = (_sets.c.tenant == actor.tenant, _sets.c.name == name)
        await change.connection.execute(delete(_sets).where(*mine))
        await change.record("evaluation_set.removed", None, name)


async def listed(
    registry: Registry, tenant: str, page: Page
) -> tuple[Sequence[EvaluationSet], bool]:
    """Read a tenant's sets by name, and whether there are more."""
    async with registry.database.read() as connection:
        rows, more = await page_of(
            connection,
            _described().where(_sets.c.tenant == tenant),
            page,
            order=(_sets.c.name,),
            id_=_sets.c.name,
            ascending=True,
        )
    return [_set_of(row) for row in rows], more


async def _replace(
    change: Change, name: str, hash_: str, cases: Sequence[EvaluationCase], *, version: int
) -> None:
    tenant = change.actor.tenant
    mine = (_sets.c.tenant == tenant, _sets.c.name == name)
    await change.connection.execute(update(_sets).where(*mine).values(current=False))
    # Cases that the set had before come back with the time and the key of this upload.
    await change.connection.execute(delete(_sets).where(*mine, _sets.c.hash == hash_))
    await change.connection.execute(
        insert(_sets).values(
            tenant=tenant,
            name=name,
            hash=hash_,
            cases=[case.model_dump(mode="json", exclude_defaults=True) for case in cases],
            count=len(cases),
            guards=sum(case.guards for case in cases),
            current=True,
            created_at=change.second,
            created_by=change.actor.key_id,
            version=version,
        )
    )


async def _row(connection: AsyncConnection, tenant: str, name: str) -> Row[Any] | None:
    mine = (_sets.c.tenant == tenant, _sets.c.name == name)
    row: Row[Any] | None = (await connection.execute(_described().where(*mine))).one_or_none()
    return row


def _described() -> Select[Any]:
    """Select the present sets without their cases, which may be long."""
    columns = [column for column in _sets.c if column is not _sets.c.cases]
    return select(*columns).where(_sets.c.current.is_(True))


def _set_of(row: Row[Any]) -> EvaluationSet:
    return EvaluationSet(
        id=row.name,
        dataset_hash=row.hash,
        cases=row.count,
        guards=row.guards,
        created_at=row.created_at,
        created_by=row.created_by,
        version=row.version,
    )


def _named(name: str) -> str:
    return f"The evaluation set {name!r}"
