"""Where an installation keeps what cannot be made anew.

The variables are those of the services themselves, read as they read them, so that a backup runs
wherever they do; what is unset lies under `INKSTONE_HOME`. The index is not among it: a retriever
makes it anew from its catalogue. Neither are prepared models, nor the caches of agents and tuners.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from services.chassis.settings import ServiceSettings, settings_config
from services.cli.backups.databases import Database, Postgres, Sqlite
from services.cli.backups.folders import local_folder

CATALOGUE_SCHEMA = "retriever"
"""The schema of the catalogue on Postgres, which may share a database with the registry."""


_Filled = Annotated[str, Field(min_length=1)]
"""An empty one must not pass for none, which is SQLite."""


@dataclass(frozen=True, slots=True)
class Places:
    """Everything that a backup holds."""

    home: Path
    registry: Database
    """Keys, assistants, rollouts, the ledger, the audit log."""
    catalogue: Database
    """Documents with their text, ingestion jobs."""
    artifacts_url: str
    """Adapters and uploaded files."""
    artifacts_folder: Path | None
    """A folder that is there wherever the artifacts are: the store that a variable names, or the
    one in which a store is made when something is first kept; none for an object store."""
    spool: Path
    """Files that wait to be ingested."""
    index: Path
    """The embedded index, which must not be there when a catalogue is put back."""

    @property
    def databases(self) -> dict[str, Database]:
        """Both databases by name, in the order in which they must be copied.

        A document that is indexed in between is then in the catalogue and not yet ticked off in
        the registry, which only has it indexed once more. The other way round it would be lost.
        """
        return {"registry": self.registry, "catalogue": self.catalogue}

    @property
    def secrets(self) -> dict[str, Path]:
        """Folders of keys, by name."""
        return {"keys": self.home / "keys", "secrets": self.home / "secrets"}


def places_of(home: Path, variables: Mapping[str, str] | None = None) -> Places:
    """Find everything, as the services would.

    Args:
        variables: the process's own, and its files of secrets, when left out.
    """
    given = _told() if variables is None else variables
    home = home.resolve()
    gateway = Path(given.get("INKSTONE_GATEWAY_DATA_DIR", home / "gateway"))
    retriever = Path(given.get("INKSTONE_RETRIEVER_DATA_DIR", home / "retriever"))
    registry_url = given.get("INKSTONE_GATEWAY_DATABASE_URL")
    catalogue_url = given.get("INKSTONE_RETRIEVER_CATALOGUE_URL")
    # A gateway keeps artifacts beside its data unless it is told better, as a local stack tells it.
    beside = gateway.absolute() if "INKSTONE_GATEWAY_DATA_DIR" in given else home
    artifacts_url = given.get("INKSTONE_GATEWAY_ARTIFACTS_URL")
    return Places(
        home=home,
        registry=Postgres(registry_url, without_schema=CATALOGUE_SCHEMA)
        if registry_url
        else Sqlite(gateway / "gateway.sqlite3"),
        catalogue=Postgres(catalogue_url, schema=CATALOGUE_SCHEMA)
        if catalogue_url
        else Sqlite(retriever / "catalogue.sqlite3"),
        artifacts_url=artifacts_url or (beside / "artifacts").as_uri(),
        artifacts_folder=local_folder(artifacts_url) if artifacts_url else beside,
        spool=Path(given.get("INKSTONE_RETRIEVER_SPOOL_DIR", retriever / "spool")),
        index=retriever / "index",
    )


class _Variables(ServiceSettings):
    """What gateways and retrievers are told of their places; everything else is theirs to check."""

    model_config = settings_config("")

    inkstone_gateway_data_dir: str | None = None
    inkstone_gateway_database_url: _Filled | None = None
    inkstone_gateway_artifacts_url: str | None = None
    inkstone_retriever_data_dir: str | None = None
    inkstone_retriever_catalogue_url: _Filled | None = None
    inkstone_retriever_spool_dir: str | None = None


def _told() -> dict[str, str]:
    """Read the variables, from the environment first and from files of secrets then."""
    return {name.upper(): value for name, value in _Variables() if value is not None}
