"""Copies of files that come and go meanwhile."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import fsspec

STAGING = ".staging"
"""Where the artifact store has what is not whole yet."""


def local_folder(url: str) -> Path | None:
    """Tell which folder of this machine a URL names; none where it names an object store."""
    protocol, _ = fsspec.core.split_protocol(url)
    return Path(fsspec.core.url_to_fs(url)[1]) if protocol in (None, "file", "local") else None


def copy_artifacts(url: str, target: Path) -> int:
    """Copy what is in an artifact store and not in the target yet; returns how many files."""
    filesystem, root = fsspec.core.url_to_fs(url)
    copied = 0
    for path, info in _stored(filesystem, root).items():
        place = target / path
        if place.exists() and place.stat().st_size == info["size"]:
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            filesystem.get_file(info["name"], str(place))
        except FileNotFoundError:
            # Removed since it was listed: nothing refers to it any more.
            place.unlink(missing_ok=True)
            continue
        copied += 1
    return copied


def put_artifacts_back(source: Path, url: str) -> None:
    """Copy a folder into an artifact store."""
    filesystem, root = fsspec.core.url_to_fs(url)
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        stored = f"{root.rstrip('/')}/{path.relative_to(source).as_posix()}"
        filesystem.makedirs(stored.rsplit("/", 1)[0], exist_ok=True)
        filesystem.put_file(str(path), stored)


def holds_artifacts(url: str) -> bool:
    """Tell whether an artifact store holds anything."""
    filesystem, root = fsspec.core.url_to_fs(url)
    return bool(_stored(filesystem, root))


def copy_folder(source: Path, target: Path) -> int:
    """Copy what is in a folder and not in the target yet, or has another size there."""
    copied = 0
    for path in sorted(source.rglob("*")) if source.is_dir() else ():
        place = target / path.relative_to(source)
        try:
            if not path.is_file() or (
                place.exists() and place.stat().st_size == path.stat().st_size
            ):
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)
        except FileNotFoundError:
            place.unlink(missing_ok=True)
            continue
        copied += 1
    return copied


def _stored(filesystem: Any, root: str) -> dict[str, dict[str, Any]]:
    """List the files of a store, by their path in it."""
    if not filesystem.exists(root):
        return {}
    root = root.rstrip("/")
    found = filesystem.find(root, detail=True)
    by_path = {name[len(root) :].lstrip("/"): info for name, info in found.items()}
    return {path: info for path, info in by_path.items() if not path.startswith(STAGING)}
