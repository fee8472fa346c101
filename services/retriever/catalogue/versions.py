"""Which shape a catalogue has, and the steps from an older shape to this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, inspect

from services.retriever.catalogue import job_tables, tables

SCHEMA = "retriever"
"""The schema on Postgres, so that a catalogue may share a database with others."""


class CatalogueTooNewError(Exception):
    """A later release has written the catalogue."""


Step = Callable[[Connection], None]


def _jobs_come(connection: Connection) -> None:
    """Version 1: ingestion jobs, generations of the index, and changes of the embedding model."""
    made = [job_tables.jobs, job_tables.job_items, job_tables.origins]
    made += [tables.generations, tables.carried]
    tables.metadata.create_all(connection, tables=made)


def _members_come(connection: Connection) -> None:
    """Version 2: processes that share the catalogue, each with its writes."""
    tables.metadata.create_all(connection, tables=[tables.members])
    connection.exec_driver_sql("ALTER TABLE writes ADD COLUMN member VARCHAR NOT NULL DEFAULT ''")


def _rewritings_come(connection: Connection) -> None:
    """Version 3: documents written anew in an index that several processes share."""
    tables.metadata.create_all(connection, tables=[tables.rewritings])


STEPS: Sequence[Step] = (_jobs_come, _members_come, _rewritings_come)
"""Step n makes version n + 1 of version n; version 0 is a catalogue from before there were any."""


def bring_up_to_date(connection: Connection) -> None:
    """Make the tables of a new catalogue, or take an older one through the steps it lacks.

    Raises:
        CatalogueTooNewError: a later release has written it.
    """
    on_sqlite = connection.dialect.name == "sqlite"
    if not on_sqlite:
        connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS version (number int NOT NULL)")
    asked = "PRAGMA user_version" if on_sqlite else "SELECT max(number) FROM version"
    version = int(connection.exec_driver_sql(asked).scalar_one() or 0)
    if version > len(STEPS):
        raise CatalogueTooNewError(
            f"The catalogue has version {version} and this retriever knows {len(STEPS)}: run the "
            "release that wrote it, or restore the copy from before."
        )
    if not inspect(connection).has_table("documents"):
        tables.metadata.create_all(connection)
    else:
        for step in STEPS[version:]:
            step(connection)
    if version < len(STEPS):
        noted = "PRAGMA user_version =" if on_sqlite else "INSERT INTO version SELECT"
        connection.exec_driver_sql(f"{noted} {len(STEPS)}")
