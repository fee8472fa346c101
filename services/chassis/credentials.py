"""Secrets in files, and the shared bearer key between two services."""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

from starlette.requests import HTTPConnection

from services.chassis.errors import Unauthenticated


def read_or_create_secret(path: Path, make: str | None = None) -> str:
    """Read a secret file, or create it with mode 600; two processes end up with the same secret.

    Args:
        make: the secret to write when the file does not exist; random when left out.
    """
    secret = make or secrets.token_urlsafe(32)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        file.write(secret + "\n")
    return secret


def bearer_token(connection: HTTPConnection) -> str | None:
    """Read the bearer token of a request."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def require_shared_key(connection: HTTPConnection, expected: str) -> None:
    """Let only the holder of the shared key pass.

    Raises:
        Unauthenticated: for any other caller.
    """
    given = bearer_token(connection) or ""
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise Unauthenticated("This service answers Inkstone's own gateway only.")
