"""Adapter archives, honest and hostile."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

Files = dict[str, bytes]


def files_of(folder: Path, prefix: str = "") -> Files:
    """Read a folder's files, named as they would stand in an archive."""
    return {prefix + path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def tar_gz(files: Files, *extra: tarfile.TarInfo, mode: str = "w:gz") -> bytes:
    """Pack files, and members without content as they are."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:  # type: ignore[call-overload]  # mode
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in extra:
            archive.addfile(member)
    return packed.getvalue()


def zipped(files: Files, *extra: tuple[zipfile.ZipInfo, bytes]) -> bytes:
    """Pack files, and members with attributes of their own."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        for member, content in extra:
            archive.writestr(member, content)
    return packed.getvalue()


def link(name: str, target: str, *, hard: bool = False) -> tarfile.TarInfo:
    """Make a member that points elsewhere."""
    member = tarfile.TarInfo(name)
    member.type = tarfile.LNKTYPE if hard else tarfile.SYMTYPE
    member.linkname = target
    return member


def zip_link(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    """Make a symbolic link as zip archives hold them."""
    member = zipfile.ZipInfo(name)
    member.external_attr = (0o120777) << 16
    return member, target.encode()
