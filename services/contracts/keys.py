"""API keys: who may do what, for which tenant."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from services.contracts.wire import Wire


class Scope(StrEnum):
    """What a key may do."""

    APP = "app"
    """Chat, list models, search."""
    KNOWLEDGE = "knowledge"
    """Read and write documents."""
    OPERATOR = "operator"
    """Everything under /admin."""
    INTERNAL = "internal"
    """The routes under /internal: agent, tuner and retriever."""
    CONTENT = "content"
    """Read and erase the texts that the content store keeps."""
    ASSERT_GROUPS = "assert-groups"
    """Name the end user's groups, within the key's own."""


GroupName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f]+$")]
"""A group of end users, in any script."""


class KeyWrite(Wire):
    """The body of `POST /admin/keys`."""

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f]+$")]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=16)]
    groups: list[GroupName] = Field(default_factory=list, max_length=64)
    expires_at: Annotated[int | None, Field(ge=0, le=253_402_300_799)] = None
    """Seconds since the epoch; none means that it does not expire."""


class KeyRotation(Wire):
    """The body of `POST /admin/keys/{id}/rotate`."""

    overlap_seconds: Annotated[int, Field(ge=0, le=30 * 86_400)] = 3600
    """How long the key's earlier secrets stay valid."""


class Key(Wire):
    """A key without its secret."""

    id: str
    object: Literal["api_key"] = "api_key"
    name: str
    tenant: str
    scopes: list[Scope]
    groups: list[str]
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None
    version: int = 1
    """Grows when it is rotated or revoked; send it back as `If-Match` to change what you saw."""


class IssuedKey(Key):
    """A new key with its secret, shown this once."""

    secret: str


class KeyPage(Wire):
    """Every key of the tenant."""

    object: Literal["list"] = "list"
    data: list[Key]
    has_more: bool = False
