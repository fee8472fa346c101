"""Taking a backup while everything runs."""

from __future__ import annotations

import time
from pathlib import Path

from services.cli.backups import manifest
from services.cli.backups.folders import copy_artifacts, copy_folder
from services.cli.backups.manifest import Manifest
from services.cli.backups.places import Places
from services.cli.failures import CommandError

VARIABLES = {
    "registry": "INKSTONE_GATEWAY_DATABASE_URL",
    "catalogue": "INKSTONE_RETRIEVER_CATALOGUE_URL",
}
"""What names each database where it is not in its service's folder."""


class NotEmptyError(CommandError):
    """Something is where a copy would go."""


class NothingToCopyError(CommandError):
    """Something that every installation has is not where it should be."""


def take(places: Places, folder: Path, *, with_artifacts: bool = True) -> Manifest:
    """Copy an installation into a folder of its own.

    What the databases refer to is copied before them and once more after them: whatever a row
    names was there at one of both times.

    Raises:
        NotEmptyError: the folder is not empty.
        NothingToCopyError: a database or the artifacts' folder is not there.
        CommandError: a database cannot be copied.
    """
    if folder.exists() and any(folder.iterdir()):
        raise NotEmptyError(f"{folder} is not empty; name a new folder for each backup.")
    _check_all_is_there(places, with_artifacts=with_artifacts)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    began = time.time()
    _copy_files(places, folder, with_artifacts=with_artifacts)
    databases = {}
    for name, database in places.databases.items():
        databases[name] = name + database.suffix
        database.copy(folder / databases[name])
    _copy_files(places, folder, with_artifacts=with_artifacts)
    for name, secrets in places.secrets.items():
        copy_folder(secrets, folder / name)
    taken = Manifest(
        version=manifest.VERSION,
        made_at=began,
        seconds=round(time.time() - began, 3),
        databases=databases,
        files=manifest.listed(folder),
    )
    manifest.write(folder, taken)
    return taken


def _check_all_is_there(places: Places, *, with_artifacts: bool) -> None:
    """Refuse to call a backup whole that would lack what its places only seem not to hold."""
    for name, database in places.databases.items():
        if database.is_empty():
            raise NothingToCopyError(
                f"There is no {name} in {database.name}; name the right home, or the database by "
                f"{VARIABLES[name]}."
            )
    kept = places.artifacts_folder
    if with_artifacts and kept is not None and not kept.is_dir():
        raise NothingToCopyError(
            f"There is no folder {kept}, where the artifacts should be; mount or make it, name "
            "another store by INKSTONE_GATEWAY_ARTIFACTS_URL, or leave artifacts out by "
            "--no-artifacts."
        )


def _copy_files(places: Places, folder: Path, *, with_artifacts: bool) -> None:
    if with_artifacts:
        copy_artifacts(places.artifacts_url, folder / "artifacts")
    copy_folder(places.spool, folder / "spool")
