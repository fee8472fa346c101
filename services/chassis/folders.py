"""Folders that appear whole, whoever else makes the same one."""

from __future__ import annotations

import errno
from pathlib import Path


def rename_unless_there(source: Path, target: Path) -> None:
    """Give a finished folder its name; when another writer was first, that one's folder stays.

    Raises:
        OSError: the file system refuses for any other reason.
    """
    try:
        source.rename(target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
