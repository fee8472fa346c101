"""Profile versions: what releases are made with, named by content, so that each can be used again.

A profile lives in the releases that bundle it; a table of its own would say nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.errors import NotFound
from services.contracts.assistants import ProfileVersion, Release
from services.gateway.registry import tables
from services.gateway.registry.paging import Page, page_of
from services.gateway.registry.rows import release_of

_releases = tables.releases.c


class ProfileNotFound(NotFound):
    """The tenant has no release with such a profile."""

    code = "profile_not_found"


async def find(connection: AsyncConnection, tenant: str, hash_: str) -> ProfileVersion:
    """Read one profile version.

    Raises:
        ProfileNotFound: no release of the tenant is made with it.
    """
    found = await _versions(connection, tenant, [hash_])
    if not found:
        raise ProfileNotFound(
            f"No release has the profile {hash_!r}; GET /admin/profiles lists those in use."
        )
    return found[0]


async def listed(
    connection: AsyncConnection, tenant: str, page: Page
) -> tuple[Sequence[ProfileVersion], bool]:
    """Read a tenant's profile versions, newest first, and whether there are more."""
    known = (
        select(_releases.profile_hash, func.min(_releases.created_at).label("first"))
        .where(_releases.tenant == tenant)
        .group_by(_releases.profile_hash)
        .subquery()
    )
    hash_ = known.c.profile_hash
    rows, more = await page_of(
        connection, select(known), page, order=(known.c.first, hash_), id_=hash_
    )
    return await _versions(connection, tenant, [row.profile_hash for row in rows]), more


async def _versions(
    connection: AsyncConnection, tenant: str, hashes: Sequence[str]
) -> list[ProfileVersion]:
    """Read profile versions in the order of their hashes; unknown ones are left out."""
    assistants = tables.assistants.c
    stable = await connection.execute(
        select(assistants.name, assistants.stable).where(assistants.tenant == tenant)
    )
    serving = {f"{row.name}/{row.stable}" for row in stable}
    rows = await connection.execute(
        select(tables.releases)
        .where(_releases.tenant == tenant, _releases.profile_hash.in_(hashes))
        .order_by(_releases.created_at, _releases.assistant, _releases.number)
    )
    made: dict[str, list[Release]] = {hash_: [] for hash_ in hashes}
    for row in rows:
        made[row.profile_hash].append(release_of(row))
    return [_version(releases, serving) for releases in made.values() if releases]


def _version(releases: Sequence[Release], serving: set[str]) -> ProfileVersion:
    first = releases[0]
    return ProfileVersion(
        id=first.profile_hash,
        created_at=first.created_at,
        created_by=first.created_by,
        profile=first.profile,
        releases=[release.id for release in releases],
        serving=[release.assistant for release in releases if release.id in serving],
    )
