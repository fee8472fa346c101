"""Copying an adapter from an import folder of the gateway's machine, and from nowhere else."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from services.chassis.errors import InvalidRequest
from services.gateway.adapters.layout import AdapterLimits, adapter_files, copy_bounded


class PathRefused(InvalidRequest):
    """A path that does not lie inside an import folder, links followed."""

    code = "adapter_path_refused"


def copy_adapter(path: str, folder: Path, *, roots: Sequence[Path], limits: AdapterLimits) -> None:
    """Copy the adapter in a directory to a folder, under its plain names.

    Raises:
        PathRefused: when the directory, or a file that is needed, lies outside of every root.
        AdapterRefused: when there is no adapter in it.
        AdapterTooLarge: when it holds more than the limit.
    """
    directory = _inside(Path(path), roots)
    if not Path(path).is_absolute() or not directory.is_dir():
        raise PathRefused(
            "path is not an absolute path of a directory; name the folder that save_pretrained "
            "wrote.",
            param="path",
        )
    names = sorted(entry.name for entry in os.scandir(directory) if not entry.is_dir())
    for plain, name in adapter_files(names).items():
        _copy_file(_inside(directory / name, roots), folder / plain, limits)


def _inside(path: Path, roots: Sequence[Path]) -> Path:
    real = Path(os.path.realpath(path))
    if any(real.is_relative_to(os.path.realpath(root)) for root in roots):
        return real
    raise PathRefused(
        "path does not lie inside an import folder; upload the adapter, or name its folder's "
        "parent in INKSTONE_GATEWAY_ADAPTER_IMPORT_DIRS.",
        param="path",
    )


def _copy_file(source: Path, target: Path, limits: AdapterLimits) -> None:
    # The path has no links left; one that appears now is not followed, and a pipe does not block.
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file, target.open("wb") as copy:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise PathRefused(f"{source.name!r} is not a plain file.", param="path")
        copy_bounded(file, copy, limits.max_bytes)
