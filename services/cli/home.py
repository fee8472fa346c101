"""The folder that holds all local state, and the keys in it."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from services.chassis.credentials import read_or_create_secret

API_KEYS = ("admin", "app", "agent", "tuner")
"""Keys of the gateway's registry, one file each; the gateway registers them when it starts."""

SHARED_SECRETS = ("retriever", "engine")
"""Secrets that two processes share and no registry knows."""

USUAL_URL = "http://127.0.0.1:8000"
"""Where the local stack is reached when nothing says otherwise."""

_URL_FILE = "url"


@dataclass(frozen=True, slots=True)
class Home:
    """`INKSTONE_HOME` and what stands where in it."""

    root: Path
    models: Path
    """Prepared models; several homes may share one folder."""

    @property
    def keys(self) -> Path:
        """Keys for people and services, mode 600."""
        return self.root / "keys"

    @property
    def secrets(self) -> Path:
        """Secrets between processes, mode 600."""
        return self.root / "secrets"

    @property
    def logs(self) -> Path:
        """One log file for each process."""
        return self.root / "logs"

    @property
    def artifacts_url(self) -> str:
        """The artifact store."""
        return (self.root / "artifacts").as_uri()

    def data(self, service: str) -> Path:
        """One service's own data."""
        return self.root / service

    def key(self, name: str) -> str:
        """Read a key or shared secret that `open_home` made."""
        folder = self.keys if name in API_KEYS else self.secrets
        return (folder / (f"{name}.key" if name in API_KEYS else name)).read_text().strip()


def open_home(root: Path) -> tuple[Home, bool]:
    """Make the folder and its keys when they do not exist; tell whether this is the first start.

    `INKSTONE_MODELS_DIR` moves the prepared models elsewhere.
    """
    root = root.resolve()
    home = Home(root, Path(os.environ.get("INKSTONE_MODELS_DIR", root / "models")).resolve())
    for folder in (home.keys, home.secrets):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in (home.models, home.logs):
        folder.mkdir(parents=True, exist_ok=True)
    first = not (home.keys / "admin.key").exists()
    for name in API_KEYS:
        read_or_create_secret(home.keys / f"{name}.key", _api_key())
    for name in SHARED_SECRETS:
        read_or_create_secret(home.secrets / name)
    return home, first


def local_url(root: Path) -> str:
    """Tell where the stack of a folder was last reached."""
    file = root / _URL_FILE
    return file.read_text("utf-8").strip() if file.exists() else USUAL_URL


def remember_url(home: Home, url: str) -> None:
    """Let commands beside the stack find it, whatever port it has."""
    partial = home.root / f"{_URL_FILE}.partial"
    partial.write_text(f"{url}\n", "utf-8")
    partial.replace(home.root / _URL_FILE)


def _api_key() -> str:
    return f"ink_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"
