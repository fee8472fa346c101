"""Turning the registry's rows into the types of the wire."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, Select, and_, select

from services.contracts.adapters import AdapterVersion
from services.contracts.assistants import Assistant, Release
from services.contracts.keys import Key
from services.gateway.registry import tables


def key_of(row: Row[Any]) -> Key:
    """Read a key."""
    return Key(
        id=row.id,
        name=row.name,
        tenant=row.tenant,
        scopes=row.scopes,
        groups=row.groups,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        version=row.version,
    )


def adapter_of(row: Row[Any]) -> AdapterVersion:
    """Read an adapter version; what replicas prove of it is not in the row."""
    return AdapterVersion.received(
        {
            "id": row.id,
            "name": row.name,
            "content_hash": row.content_hash,
            "rank": row.rank,
            "target_modules": row.target_modules,
            "bytes": row.bytes,
            "state": row.state,
            "created_at": row.created_at,
            "created_by": row.created_by,
            "manifest": row.manifest,
            "version": row.version,
            "files": row.files,
        }
    )


def release_of(row: Row[*tuple[Any, ...]]) -> Release:
    """Read a release."""
    return Release.received(
        {
            "id": f"{row.assistant}/{row.number}",
            "assistant": row.assistant,
            "number": row.number,
            "created_at": row.created_at,
            "created_by": row.created_by,
            "profile": row.profile,
            "profile_hash": row.profile_hash,
            "retrieval": row.retrieval,
            "adapter": row.adapter,
            "evidence": row.evidence,
            "prompt_mismatch": row.prompt_mismatch,
        }
    )


def assistant_of(row: Row[Any]) -> Assistant:
    """Read an assistant from a row of `with_stable_release`."""
    return Assistant(
        id=row.name,
        description=row.description,
        stable=release_of(row),
        updated_at=row.updated_at,
        version=row.version,
    )


def with_stable_release() -> Select[*tuple[Any, ...]]:
    """Select assistants, each with the release that it serves; deleted ones are left out."""
    assistants, releases = tables.assistants, tables.releases
    joined = and_(
        releases.c.tenant == assistants.c.tenant,
        releases.c.assistant == assistants.c.name,
        releases.c.number == assistants.c.stable,
    )
    return select(
        assistants.c.name,
        assistants.c.description,
        assistants.c.updated_at,
        assistants.c.version,
        *releases.c,
    ).join(releases, joined)
