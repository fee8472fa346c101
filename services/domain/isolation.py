"""Keeping what the engine remembers of one tenant and adapter version apart from all others."""

from __future__ import annotations

import hashlib


def cache_salt(tenant: str, adapter: str | None) -> str:
    """Name the part of the engine's prefix cache that a request may share: 32 hex of sha256.

    vLLM refuses a salt with `@`, `/`, a backslash or NUL in it, or of more than 128 characters, so
    the names themselves cannot stand there.
    """
    return hashlib.sha256(f"{tenant}\0{adapter or ''}".encode()).hexdigest()[:32]
