"""Adapter files on this machine: fetched from the artifact store, verified, kept, let go.

An engine reads an adapter's files again after it pushed the weights out of memory, and dies when
they are gone; so files stay until the version was unloaded and a grace period has passed.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from services.chassis.artifacts import ArtifactStore, sha256_of
from services.chassis.errors import Unprocessable
from services.contracts.adapters import CONFIG_FILE, WEIGHTS_FILE, DesiredAdapter
from services.domain.preflight import (
    HEADER_LIMIT_BYTES,
    PreflightError,
    content_hash,
    inspect,
    read_header,
)


class AdapterUnusable(Unprocessable):
    """The stored files are not the version that was ordered, or cannot be served."""

    code = "adapter_unusable"


@dataclass(slots=True)
class LocalCache:
    """The folder that holds this replica's adapter files, one folder a version."""

    root: Path
    store: ArtifactStore
    max_rank: int
    _verified: set[Path] = field(default_factory=set)

    def folder(self, version_id: str) -> Path:
        """Name a version's folder: its path holds the name and the hash."""
        name, _, short_hash = version_id.partition("@")
        folder = (self.root / name / short_hash).resolve()
        if not folder.is_relative_to(self.root.resolve()) or not short_hash:
            raise AdapterUnusable(f"{version_id!r} is not an adapter version id.")
        return folder

    async def fetch(self, wanted: DesiredAdapter) -> Path:
        """Have a version's verified files here.

        Raises:
            AdapterUnusable: when what is stored is not that version or cannot be served.
            NotFound: when the artifact store does not have it.
        """
        folder = self.folder(wanted.id)
        if folder in self._verified and folder.is_dir():
            return folder
        if folder.is_dir() and not await asyncio.to_thread(_is_version, folder, wanted):
            await asyncio.to_thread(shutil.rmtree, folder)
        if not folder.is_dir():
            await self._copy(wanted, folder)
        await asyncio.to_thread(self._check, folder)
        self._verified.add(folder)
        return folder

    def kept(self) -> list[str]:
        """List the versions whose files are here."""
        folders = (path for path in self.root.glob("*/*") if path.is_dir())
        return [f"{path.parent.name}@{path.name}" for path in folders if path.name[:1] != "."]

    async def forget(self, version_id: str) -> None:
        """Delete a version's files."""
        folder = self.folder(version_id)
        self._verified.discard(folder)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _copy(self, wanted: DesiredAdapter, folder: Path) -> None:
        name, _, short_hash = wanted.id.partition("@")
        folder.parent.mkdir(parents=True, exist_ok=True)
        await self.store.fetch_folder(f"adapters/{name}/{short_hash}", folder)
        if not await asyncio.to_thread(_is_version, folder, wanted):
            await asyncio.to_thread(shutil.rmtree, folder)
            raise AdapterUnusable(
                f"The stored files of {wanted.id} are not what was registered; register it again."
            )

    def _check(self, folder: Path) -> None:
        """Refuse what the engine would refuse, with a reason that the engine does not give."""
        config = json.loads((folder / CONFIG_FILE).read_bytes())
        with (folder / WEIGHTS_FILE).open("rb") as file:
            head = file.read(8 + HEADER_LIMIT_BYTES)
        try:
            inspect(config, read_header(head), max_rank=self.max_rank)
        except PreflightError as error:
            raise AdapterUnusable(str(error), code=error.code) from error
        for file_path in folder.iterdir():
            file_path.chmod(0o444)


def _is_version(folder: Path, wanted: DesiredAdapter) -> bool:
    try:
        config = (folder / CONFIG_FILE).read_bytes()
        weights = sha256_of(folder / WEIGHTS_FILE)
    except OSError:
        return False
    return content_hash(config, weights) == wanted.content_hash
