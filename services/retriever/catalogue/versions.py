"""Which shape a catalogue file has, and the steps from an older shape to this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, inspect

from services.retriever.catalogue import job_tables, tables


class CatalogueTooNewError(Exception):
    """A later release has written the catalogue file."""


Step = Callable[[Connection], None]


def _jobs_come(connection: Connection) -> None:
    """Version 1: ingestion jobs, generations of the index, and changes of the embedding model."""
    made = [job_tables.jobs, job_tables.job_items, job_tables.origins]
    made += [tables.generations, tables.carried]
    tables.metadata.create_all(connection, tables=made)


STEPS: Sequence[Step] = (_jobs_come,)
"""Step n makes version n + 1 of version n; version 0 is a catalogue from before there were any."""


def bring_up_to_date(connection: Connection) -> None:
    """Make the tables of a new catalogue, or take an older one through the steps it lacks.

    Raises:
        CatalogueTooNewError: a later release has written the file.
    """
    version = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    if version > len(STEPS):
        raise CatalogueTooNewError(
            f"The catalogue has version {version} and this retriever knows {len(STEPS)}: run the "
            "release that wrote it, or restore the copy from before."
        )
    if not inspect(connection).has_table("documents"):
        tables.metadata.create_all(connection)
        version = len(STEPS)
    for step in STEPS[version:]:
        step(connection)
    connection.exec_driver_sql(f"PRAGMA user_version = {len(STEPS)}")
