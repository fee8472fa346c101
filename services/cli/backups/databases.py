"""Copies of a database that others write to meanwhile: one state of it, and back."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from sqlalchemy import URL, make_url

from services.cli.failures import CommandError


class DatabaseToolMissingError(CommandError):
    """A program of Postgres is needed and not installed."""


class CopyFailedError(CommandError):
    """A database could not be copied, or not be put back."""


class Database(Protocol):
    """A database of the installation."""

    suffix: ClassVar[str]
    """Of the copy's file name; tells the kind of database."""

    @property
    def name(self) -> str:
        """Where it is, without what is secret."""
        ...

    def copy(self, target: Path) -> None:
        """Write one state of the database to a file."""
        ...

    def is_empty(self) -> bool:
        """Tell whether nothing would be lost by putting a copy back."""
        ...

    def put_back(self, source: Path) -> None:
        """Make the database what the copy is."""
        ...


@dataclass(frozen=True, slots=True)
class Sqlite:
    """A SQLite file; in write-ahead mode a copy holds up no writer."""

    suffix: ClassVar[str] = ".sqlite3"
    path: Path

    @property
    def name(self) -> str:
        """The file."""
        return str(self.path)

    def copy(self, target: Path) -> None:
        """Write one state of the database to a file.

        Raises:
            CopyFailedError: its copy is damaged.
        """
        reading = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)
        with (
            contextlib.closing(reading) as source,
            contextlib.closing(sqlite3.connect(target)) as copied,
        ):
            source.backup(copied)
            # A file of its own, without a write-ahead log beside it.
            copied.execute("PRAGMA journal_mode = DELETE")
            found = copied.execute("PRAGMA quick_check").fetchone()[0]
        if found != "ok":
            raise CopyFailedError(f"The copy of {self.path} is damaged: {found}.")

    def is_empty(self) -> bool:
        """Tell whether nothing would be lost by putting a copy back."""
        return not self.path.exists()

    def put_back(self, source: Path) -> None:
        """Make the database what the copy is; it appears whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f".{self.path.name}.restoring")
        shutil.copyfile(source, draft)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(self.path)


@dataclass(frozen=True, slots=True)
class Postgres:
    """A database of a Postgres server, or one schema of it."""

    suffix: ClassVar[str] = ".pgdump"
    url: str
    schema: str | None = None
    without_schema: str | None = None

    def copy(self, target: Path) -> None:
        """Write one state of the database to a file, by `pg_dump`.

        Raises:
            CopyFailedError: `pg_dump` says why.
        """
        chosen = [f"--schema={self.schema}"] if self.schema else []
        chosen += [f"--exclude-schema={self.without_schema}"] if self.without_schema else []
        kept = ("--format=custom", "--no-owner", "--no-privileges", f"--file={target}")
        self._run("pg_dump", *kept, *chosen, f"--dbname={self.name}")

    def is_empty(self) -> bool:
        """Tell whether nothing would be lost by putting a copy back."""
        # Where there is no table, `\\dt` says so on standard error only.
        listed = ("-AtXq", "-c", f"\\dt {self.schema or 'public'}.*")
        return not self._run("psql", *listed, f"--dbname={self.name}").strip()

    def put_back(self, source: Path) -> None:
        """Make the database what the copy is, all or nothing, by `pg_restore`.

        Raises:
            CopyFailedError: `pg_restore` says why.
        """
        whole = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
        self._run("pg_restore", *whole, f"--dbname={self.name}", str(source))

    @property
    def _parsed(self) -> URL:
        """The URL as Postgres's own programs read it: asyncpg says `ssl` for `sslmode`."""
        url = make_url(self.url).set(drivername="postgresql")
        query = {("sslmode" if k == "ssl" else k): v for k, v in url.query.items()}
        return url.set(query=query)

    @property
    def name(self) -> str:
        """The URL without its password, which would show in the list of processes."""
        url = self._parsed
        bare = URL.create(
            url.drivername, url.username, None, url.host, url.port, url.database, url.query
        )
        return bare.render_as_string(hide_password=False)

    def _run(self, tool: str, *arguments: str) -> str:
        password = self._parsed.password
        environment = {**os.environ, **({"PGPASSWORD": str(password)} if password else {})}
        done = subprocess.run(  # noqa: S603 - no shell, and the program is Postgres's own
            [_tool(tool), *arguments], capture_output=True, text=True, check=False, env=environment
        )
        if done.returncode != 0:
            raise CopyFailedError(f"{tool} failed: {done.stderr.strip() or done.returncode}")
        return done.stdout


def _tool(name: str) -> str:
    """Find a program of Postgres; Debian keeps the newest out of the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which(name) or next(
        (str(folder / name) for folder in folders if (folder / name).exists()), None
    )
    if found is None:
        raise DatabaseToolMissingError(
            f"{name} is not installed; install the client programs of Postgres (postgresql-client)."
        )
    return found
