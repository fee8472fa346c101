"""Releases: made once, never changed; an assistant points to the one that it serves."""

from __future__ import annotations

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.errors import NotFound
from services.contracts.assistants import AssistantWrite, Profile, Release
from services.domain.rendering import profile_hash, prompt_hash
from services.gateway.registry import tables
from services.gateway.registry.changes import Change
from services.gateway.registry.rows import release_of

_MAX_NUMBER_DIGITS = 9


class ReleaseNotFound(NotFound):
    """The assistant has no such release."""

    code = "release_not_found"


def serves(release: Release, write: AssistantWrite, *, prompt_mismatch: bool) -> bool:
    """Tell whether a release is the bundle that is asked for."""
    return (release.profile, release.retrieval, release.adapter, release.prompt_mismatch) == (
        write.profile,
        write.retrieval,
        write.adapter,
        prompt_mismatch,
    )


async def create(
    change: Change,
    name: str,
    write: AssistantWrite,
    *,
    prompt_mismatch: bool,
) -> int:
    """Make an assistant's next release, which nobody is served yet, and return its number."""
    table = tables.releases
    last = await change.connection.scalar(
        select(func.max(table.c.number)).where(
            table.c.tenant == change.actor.tenant, table.c.assistant == name
        )
    )
    number = (last or 0) + 1
    known = await evaluated(change, write.adapter, write.profile)
    await change.connection.execute(
        insert(table).values(
            tenant=change.actor.tenant,
            assistant=name,
            number=number,
            created_at=change.second,
            created_by=change.actor.key_id,
            profile=write.profile.model_dump(mode="json"),
            profile_hash=profile_hash(write.profile),
            retrieval=write.retrieval.model_dump(mode="json") if write.retrieval else None,
            adapter=write.adapter,
            evidence="evaluated" if known else "waived",
            prompt_mismatch=prompt_mismatch,
        )
    )
    return number


async def find(connection: AsyncConnection, tenant: str, name: str, number: int) -> Release:
    """Read one release.

    Raises:
        ReleaseNotFound: the assistant has none of that number.
    """
    table = tables.releases
    rows = await connection.execute(
        select(table).where(
            table.c.tenant == tenant, table.c.assistant == name, table.c.number == number
        )
    )
    row = rows.one_or_none()
    if row is None:
        raise ReleaseNotFound(
            f"There is no release '{name}/{number}'; GET /admin/assistants/{name}/releases lists "
            "what there is."
        )
    return release_of(row)


async def named(connection: AsyncConnection, tenant: str, id_: str) -> Release:
    """Read a release by its id, `<assistant>/<number>`.

    Raises:
        ReleaseNotFound: the tenant has none of that id.
    """
    name, _, number = id_.rpartition("/")
    if not number.isdecimal() or len(number) > _MAX_NUMBER_DIGITS:
        raise ReleaseNotFound(
            f"There is no release {id_!r}; GET /admin/assistants/<name>/releases lists what there "
            "is."
        )
    return await find(connection, tenant, name, int(number))


async def evaluated(change: Change, adapter: str | None, profile: Profile) -> bool:
    """Tell whether the latest evaluation that decided about an adapter and prompt adopted it."""
    table = tables.evaluations.c
    if adapter is None:
        return False
    latest = await change.connection.scalar(
        select(table.verdict)
        .where(
            table.tenant == change.actor.tenant,
            table.adapter == adapter,
            table.prompt_hash == prompt_hash(profile),
            table.verdict.in_(("adopt", "reject")),
        )
        # Of two in the same second the one that says no.
        .order_by(table.finished_at.desc(), table.verdict.desc())
        .limit(1)
    )
    return latest == "adopt"


async def attest(change: Change, name: str, number: int) -> None:
    """Note that an evaluation stands behind a release; what it is made of never changes."""
    table = tables.releases
    await change.connection.execute(
        update(table)
        .where(
            table.c.tenant == change.actor.tenant,
            table.c.assistant == name,
            table.c.number == number,
        )
        .values(evidence="evaluated")
    )


async def point(
    change: Change, name: str, *, stable: int | None, description: str | None = None
) -> None:
    """Let an assistant serve a release, or none; the description stays unless one is given."""
    table, tenant = tables.assistants, change.actor.tenant
    values: dict[str, int | str | None] = {"stable": stable, "updated_at": change.second}
    if description is not None:
        values["description"] = description
    changed = await change.connection.execute(
        update(table).where(table.c.tenant == tenant, table.c.name == name).values(**values)
    )
    if changed.rowcount == 0:
        await change.connection.execute(insert(table).values(tenant=tenant, name=name, **values))
