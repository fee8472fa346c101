"""How long a backup, its check and its restoring take: `python benchmarks/backup.py --mib 1000`.

Makes an installation's files of the size that is asked for, half of it databases and half of it
artifacts, and copies them. No service runs; what is measured is the disk and the hashing.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from services.cli.backups import manifest
from services.cli.backups.places import Places, places_of
from services.cli.backups.restoring import put_back
from services.cli.backups.taking import take

MIB = 1024 * 1024
ROW_BYTES = 64 * 1024
FILE_BYTES = 8 * MIB


def write_database(path: Path, size: int) -> None:
    """A database of texts of so many bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE texts (number INTEGER PRIMARY KEY, text BLOB)")
        rows = ((os.urandom(ROW_BYTES),) for _ in range(size // ROW_BYTES))
        connection.executemany("INSERT INTO texts (text) VALUES (?)", rows)
        connection.commit()


def write_installation(places: Places, size: int) -> None:
    """The files of an installation of so many bytes."""
    write_database(places.home / "retriever" / "catalogue.sqlite3", size * 2 // 5)
    write_database(places.home / "gateway" / "gateway.sqlite3", size // 10)
    artifacts = places.home / "artifacts" / "files"
    artifacts.mkdir(parents=True)
    for number in range(size // 2 // FILE_BYTES):
        (artifacts / f"{number}.bin").write_bytes(os.urandom(FILE_BYTES))


@contextlib.contextmanager
def timed(what: str, size: int) -> Iterator[None]:
    """Print how long a block took, by the clock and by the processor."""
    wall, cpu = time.monotonic(), time.process_time()
    yield
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    print(f"| {what} | {wall:.1f} | {cpu:.1f} | {size / MIB / wall:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=500)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary one by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        places = places_of(Path(folder) / "home", {})
        write_installation(places, options.mib * MIB)
        copy = Path(folder) / "copy"
        elsewhere = places_of(Path(folder) / "elsewhere", {})
        steps: tuple[tuple[str, Callable[[], object]], ...] = (
            ("back up", lambda: take(places, copy)),
            ("check", lambda: manifest.read(copy)),
            ("check and restore", lambda: put_back(elsewhere, copy)),
        )
        print(
            f"{options.mib} MiB\n\n| | seconds | of the processor | MiB/s |\n|---|---:|---:|---:|"
        )
        for what, work in steps:
            with timed(what, options.mib * MIB):
                work()


if __name__ == "__main__":
    main()
