"""API keys, secrets in files, and the shared bearer key between two services."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import re
import secrets
import string
from pathlib import Path

from starlette.requests import HTTPConnection

from services.chassis.errors import Unauthenticated

_ID_ALPHABET = string.ascii_letters + string.digits
_API_KEY = re.compile(r"^ink_([A-Za-z0-9]{8})_[A-Za-z0-9_-]{43}$")


def new_api_key(key_id: str, seed: bytes | None = None) -> str:
    """Make a key: `ink_<8 id characters>_<43 random ones>`.

    Args:
        seed: 32 bytes to use as the random part; fresh ones when left out.
    """
    raw = seed if seed is not None else secrets.token_bytes(32)
    return f"ink_{key_id}_{base64.urlsafe_b64encode(raw).rstrip(b'=').decode()}"


def new_key_id() -> str:
    """Make the public part of a key: 8 letters and digits."""
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(8))


def key_id_of(api_key: str) -> str | None:
    """Read the public part of a key; None when it is not one."""
    match = _API_KEY.match(api_key)
    return match[1] if match else None


def key_hash(api_key: str) -> str:
    """Name a key without keeping it; 256 random bits make a plain hash safe."""
    return hashlib.sha256(api_key.encode()).hexdigest()


def read_or_create_secret(path: Path, make: str | None = None) -> str:
    """Read a secret file, or create it with mode 600; two processes end up with the same secret.

    Args:
        make: the secret to write when the file does not exist; random when left out.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        return path.read_text().strip()
    secret = make or secrets.token_urlsafe(32)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secret + "\n")
        # A link appears with its content or not at all, so that nobody reads a half-written secret.
        os.link(draft, path)
    except FileExistsError:
        return path.read_text().strip()
    finally:
        draft.unlink()
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
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        raise Unauthenticated("This service answers Inkstone's own gateway only.")
