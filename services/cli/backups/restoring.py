"""Putting a backup back, where nothing is in its way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from services.cli.backups import manifest
from services.cli.backups.folders import copy_folder, holds_artifacts, put_artifacts_back
from services.cli.backups.manifest import BackupDamagedError, Manifest
from services.cli.backups.places import Places
from services.cli.backups.taking import NotEmptyError


def put_back(places: Places, folder: Path) -> Manifest:
    """Restore an installation from a backup; the index is made anew when the retriever starts.

    Nothing is written before every file was compared with its hash and every place was found empty.

    Raises:
        BackupDamagedError: the backup is not what it was.
        NotEmptyError: something would be overwritten.
    """
    found = manifest.read(folder)
    _check_kinds(places, found)
    if taken := list(_taken(places, folder)):
        raise NotEmptyError(
            f"Nothing is overwritten, and there is something in {', '.join(taken)}; stop the "
            "services, set it aside, and restore again."
        )
    for name, secrets in places.secrets.items():
        copy_folder(folder / name, secrets)
        if secrets.is_dir():
            secrets.chmod(0o700)
    put_artifacts_back(folder / "artifacts", places.artifacts_url)
    copy_folder(folder / "spool", places.spool)
    for name, database in places.databases.items():
        database.put_back(folder / found.databases[name])
    return found


def _check_kinds(places: Places, found: Manifest) -> None:
    for name, database in places.databases.items():
        if not found.databases.get(name, "").endswith(database.suffix):
            raise BackupDamagedError(
                f"The backup's {name} is {found.databases.get(name, 'missing')}, and this "
                "installation keeps it in another kind of database; point it to the same kind."
            )


def _taken(places: Places, folder: Path) -> Iterator[str]:
    """Name what is in the way."""
    for name, database in places.databases.items():
        if not database.is_empty():
            yield f"the {name}"
    if (folder / "artifacts").is_dir() and holds_artifacts(places.artifacts_url):
        yield "the artifact store"
    for place in (places.spool, places.index):
        if place.is_dir() and any(place.rglob("*")):
            yield str(place)
    for name, secrets in places.secrets.items():
        if (folder / name).is_dir() and secrets.is_dir() and any(secrets.iterdir()):
            yield str(secrets)
