"""Assistants and their releases: what an assistant serves changes in one step."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.errors import Conflict, NotFound
from services.contracts.assistants import Assistant, AssistantWrite, Release
from services.gateway.registry import releases, rollouts, tables, versions
from services.gateway.registry.changes import Actor, Change, Registry, Subject
from services.gateway.registry.paging import Page, page_of
from services.gateway.registry.rows import assistant_of, release_of, with_stable_release
from services.gateway.registry.versions import Expected


class AssistantNotFound(NotFound):
    """The tenant has no such assistant."""

    code = "assistant_not_found"


class AssistantChanged(Conflict):
    """Somebody else changed the assistant in between."""

    code = "assistant_changed"


async def bind(
    change: Change,
    name: str,
    write: AssistantWrite,
    *,
    expected: Expected,
    prompt_mismatch: bool,
) -> Assistant:
    """Let an assistant serve a bundle: the present release when it is that, else a new one.

    Raises:
        AssistantChanged: when the assistant is not at the expected version.
    """
    current = await lookup(change.connection, change.actor.tenant, name)
    check_version(name, current, expected)
    number = current.stable.number if current else 0
    if current is None or not releases.serves(
        current.stable, write, prompt_mismatch=prompt_mismatch
    ):
        number = await releases.create(change, name, write, prompt_mismatch=prompt_mismatch)
    elif current.description == write.description:
        return current
    await releases.point(change, name, stable=number, description=write.description)
    await rollouts.supersede(change, name)
    bound = await find(change.connection, change.actor.tenant, name)
    detail = {
        "release": bound.stable.id,
        "before": current.stable.id if current else None,
        "adapter": write.adapter,
        "evidence": bound.stable.evidence,
        "prompt_mismatch": prompt_mismatch,
    }
    await change.record("assistant.bound", Subject.ASSISTANTS, name, detail)
    return bound


async def delete(registry: Registry, actor: Actor, name: str, *, expected: Expected) -> None:
    """Take an assistant out of service; its releases stay on record."""
    async with registry.change(actor) as change:
        current = await find(change.connection, actor.tenant, name)
        check_version(name, current, expected)
        await releases.point(change, name, stable=None, description="")
        await rollouts.supersede(change, name)
        detail = {"before": current.stable.id}
        await change.record("assistant.deleted", Subject.ASSISTANTS, name, detail)


def check_version(name: str, current: Assistant | None, expected: Expected) -> None:
    """Refuse a change to a version that the caller has not seen.

    Raises:
        AssistantChanged: when there is another version, or none.
    """
    version = current.version if current else None
    versions.check(f"The assistant {name!r}", version, expected, AssistantChanged)


async def lookup(connection: AsyncConnection, tenant: str, name: str) -> Assistant | None:
    """Read one assistant of a tenant; None when the tenant has none of that name."""
    table = tables.assistants.c
    rows = await connection.execute(
        with_stable_release().where(table.tenant == tenant, table.name == name)
    )
    row = rows.one_or_none()
    return None if row is None else assistant_of(row)


async def find(connection: AsyncConnection, tenant: str, name: str) -> Assistant:
    """Read one assistant of a tenant.

    Raises:
        AssistantNotFound: when the tenant has none of that name.
    """
    current = await lookup(connection, tenant, name)
    if current is None:
        raise AssistantNotFound(unknown(name))
    return current


def unknown(name: str) -> str:
    """Say that a tenant has no assistant of a name."""
    return f"There is no assistant {name!r}; GET /admin/assistants lists them."


async def listed(registry: Registry, tenant: str, page: Page) -> tuple[Sequence[Assistant], bool]:
    """Read a tenant's assistants by name, and whether there are more."""
    names = tables.assistants.c
    statement = with_stable_release().where(names.tenant == tenant)
    async with registry.database.read() as connection:
        rows, more = await page_of(
            connection, statement, page, order=(names.name,), id_=names.name, ascending=True
        )
    return [assistant_of(row) for row in rows], more


async def released(
    registry: Registry, tenant: str, name: str, page: Page
) -> tuple[Sequence[Release], bool]:
    """Read an assistant's releases, newest first, and whether there are more."""
    table = tables.releases
    statement = select(table).where(table.c.tenant == tenant, table.c.assistant == name)
    number = Page(page.limit, page.after.removeprefix(f"{name}/") if page.after else None)
    async with registry.database.read() as connection:
        rows, more = await page_of(
            connection, statement, number, order=(table.c.number,), id_=table.c.number
        )
        if not rows and page.after is None:
            raise AssistantNotFound(unknown(name))
    return [release_of(row) for row in rows], more
