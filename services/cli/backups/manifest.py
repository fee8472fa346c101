"""What a backup says of itself: its files with their hashes, written last."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from services.chassis.artifacts import sha256_of
from services.cli.failures import CommandError

FILE = "manifest.json"
VERSION = 1


class BackupDamagedError(CommandError):
    """A backup is not what it was when it was taken."""


class StoredFile(BaseModel):
    """One file of a backup."""

    model_config = ConfigDict(extra="forbid")

    sha256: str
    bytes: int


class Manifest(BaseModel):
    """A whole backup."""

    model_config = ConfigDict(extra="forbid")

    version: int
    made_at: float
    """Seconds since the epoch when the copies were begun: what was written later may lack."""
    seconds: float
    """How long it took."""
    databases: dict[str, str]
    """The file of each database."""
    files: dict[str, StoredFile]
    """By path."""

    @property
    def bytes(self) -> int:
        """The size of everything."""
        return sum(one.bytes for one in self.files.values())


def listed(folder: Path) -> dict[str, StoredFile]:
    """Hash every file of a folder but the manifest."""
    return {
        path.relative_to(folder).as_posix(): StoredFile(
            sha256=sha256_of(path), bytes=path.stat().st_size
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != FILE
    }


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest; with it the backup is complete."""
    draft = folder / f".{FILE}"
    with draft.open("w", encoding="utf-8") as file:
        file.write(manifest.model_dump_json(indent=1))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / FILE)


def read(folder: Path) -> Manifest:
    """Read a backup's manifest and compare every file with it.

    Raises:
        BackupDamagedError: it is incomplete, of a later release, or a file is not what it was.
    """
    try:
        manifest = Manifest.model_validate_json((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BackupDamagedError(
            f"{folder} has no {FILE}: it is no backup, or one that was never finished."
        ) from error
    except ValidationError as error:
        raise BackupDamagedError(f"{folder / FILE} cannot be read; take another backup.") from error
    if manifest.version != VERSION:
        raise BackupDamagedError(
            f"The backup has version {manifest.version} and this release reads {VERSION}: use the "
            "release that took it."
        )
    for path, stored in manifest.files.items():
        place = folder / path
        if not place.is_file() or sha256_of(place) != stored.sha256:
            raise BackupDamagedError(f"{place} is missing or not what it was; use another backup.")
    return manifest
