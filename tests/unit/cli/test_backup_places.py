"""Where a backup looks for an installation: where its services keep it, or not at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.chassis.settings import SECRETS_DIR
from services.cli.backups.databases import Postgres, Sqlite
from services.cli.backups.places import places_of
from services.cli.backups.taking import NothingToCopyError, take
from services.gateway.settings import Settings as GatewaySettings
from services.retriever.settings import Settings as RetrieverSettings

DATABASE = "postgresql://inkstone:s3cret@postgres:5432/inkstone"
ARTIFACTS = "INKSTONE_GATEWAY_ARTIFACTS_URL"


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine on which nothing is told but by the test itself."""
    for service in ("GATEWAY", "RETRIEVER"):
        for name in ("DATA_DIR", "DATABASE_URL", "ARTIFACTS_URL", "CATALOGUE_URL", "SPOOL_DIR"):
            monkeypatch.delenv(f"INKSTONE_{service}_{name}", raising=False)
    monkeypatch.delenv(SECRETS_DIR, raising=False)
    return monkeypatch


def write_database(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE kept (number INTEGER)")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An installation that has kept no artifact yet."""
    write_database(tmp_path / "home" / "gateway" / "gateway.sqlite3")
    write_database(tmp_path / "home" / "retriever" / "catalogue.sqlite3")
    return tmp_path / "home"


@pytest.fixture
def secrets(tmp_path: Path, variables: pytest.MonkeyPatch) -> Path:
    """The folder of secrets that the services are given."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    variables.setenv(SECRETS_DIR, str(folder))
    return folder


def test_databases_are_read_from_files_of_secrets(tmp_path: Path, secrets: Path) -> None:
    (secrets / "INKSTONE_GATEWAY_DATABASE_URL").write_text(f"{DATABASE}\n")
    (secrets / "INKSTONE_RETRIEVER_CATALOGUE_URL").write_text(f"{DATABASE}\n")
    places = places_of(tmp_path)
    assert places.registry == Postgres(DATABASE, without_schema="retriever")
    assert places.catalogue == Postgres(DATABASE, schema="retriever")


def test_other_secrets_and_settings_are_none_of_its_business(
    tmp_path: Path, secrets: Path, variables: pytest.MonkeyPatch
) -> None:
    (secrets / "INKSTONE_GATEWAY_RETRIEVER_API_KEY").write_text("key")
    (secrets / "postgres").write_text("password")
    variables.setenv("INKSTONE_GATEWAY_LISTENING__PORT", "8000")
    variables.setenv("INKSTONE_HOME", str(tmp_path))
    assert places_of(tmp_path).registry == Sqlite(tmp_path / "gateway" / "gateway.sqlite3")


def test_the_environment_comes_before_the_files(
    tmp_path: Path, secrets: Path, variables: pytest.MonkeyPatch
) -> None:
    (secrets / "INKSTONE_GATEWAY_DATABASE_URL").write_text(DATABASE)
    variables.setenv("INKSTONE_GATEWAY_DATABASE_URL", "postgresql://other/inkstone")
    assert places_of(tmp_path).registry.name == "postgresql://other/inkstone"


def test_a_folder_of_secrets_that_is_not_there_is_refused(
    tmp_path: Path, variables: pytest.MonkeyPatch
) -> None:
    variables.setenv(SECRETS_DIR, str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match=r"names .*nothing, which is no folder"):
        places_of(tmp_path)


@pytest.mark.parametrize(
    "name", ["INKSTONE_GATEWAY_DATABASE_URL", "INKSTONE_RETRIEVER_CATALOGUE_URL"]
)
def test_an_empty_secret_is_not_taken_for_sqlite(tmp_path: Path, secrets: Path, name: str) -> None:
    (secrets / name).write_text("\n")
    with pytest.raises(ValidationError, match=name.lower()):
        places_of(tmp_path)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {ARTIFACTS: "file:///srv/artifacts"},
        {ARTIFACTS: ""},
        {"INKSTONE_RETRIEVER_SPOOL_DIR": "/srv/artifacts/spool"},
    ],
)
def test_everything_is_where_the_services_keep_it(
    tmp_path: Path, variables: pytest.MonkeyPatch, told: dict[str, str]
) -> None:
    variables.chdir(tmp_path)
    variables.setenv("INKSTONE_GATEWAY_DATA_DIR", "gateway-data")
    variables.setenv("INKSTONE_RETRIEVER_DATA_DIR", str(tmp_path / "retriever-data"))
    for name, value in told.items():
        variables.setenv(name, value)
    places = places_of(tmp_path / "home")
    with variables.context() as patch:
        patch.setenv("INKSTONE_GATEWAY_RETRIEVER_API_KEY", "key")
        patch.setenv("INKSTONE_RETRIEVER_API_KEY", "key")
        gateway, retriever = GatewaySettings(), RetrieverSettings()
    assert places.artifacts_url == gateway.artifact_store_url
    assert gateway.registry_url.endswith(places.registry.name)
    assert retriever.catalogue.endswith(places.catalogue.name)
    assert places.spool == retriever.spool


def test_a_local_stack_keeps_artifacts_in_its_home(home: Path) -> None:
    assert places_of(home).artifacts_url == (home / "artifacts").as_uri()


def test_an_installation_without_artifacts_is_copied(home: Path, tmp_path: Path) -> None:
    taken = take(places_of(home), tmp_path / "copy")
    assert set(taken.files) == {"registry.sqlite3", "catalogue.sqlite3"}


@pytest.mark.parametrize("url", ["file://{}/store", "{}/store"])
def test_a_named_store_that_is_not_there_is_no_empty_one(
    home: Path, tmp_path: Path, variables: pytest.MonkeyPatch, url: str
) -> None:
    variables.setenv(ARTIFACTS, url.format(tmp_path))
    with pytest.raises(NothingToCopyError, match=r"no folder .*/store, where the artifacts"):
        take(places_of(home), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    assert take(places_of(home), tmp_path / "copy", with_artifacts=False).files


def test_artifacts_beside_data_that_is_not_there_are_missed(
    home: Path, tmp_path: Path, variables: pytest.MonkeyPatch
) -> None:
    registry = places_of(home).registry
    variables.setenv("INKSTONE_GATEWAY_DATA_DIR", str(tmp_path / "nothing"))
    places = places_of(home)
    assert places.artifacts_folder == tmp_path / "nothing"
    with pytest.raises(NothingToCopyError, match=r"There is no registry in .*nothing"):
        take(places, tmp_path / "copy")
    with pytest.raises(NothingToCopyError, match=r"no folder .*/nothing, where the artifacts"):
        take(replace(places, registry=registry), tmp_path / "copy")


def test_an_object_store_is_not_looked_for_on_this_machine(
    home: Path, tmp_path: Path, variables: pytest.MonkeyPatch
) -> None:
    variables.setenv(ARTIFACTS, "s3://inkstone/artifacts")
    places = places_of(home)
    assert places.artifacts_folder is None
    assert take(places, tmp_path / "copy", with_artifacts=False).files


@pytest.mark.parametrize("name", ["registry", "catalogue"])
def test_a_database_that_is_not_there_is_named_before_anything_is_copied(
    home: Path, tmp_path: Path, name: str
) -> None:
    places = places_of(home)
    Path(places.databases[name].name).unlink()
    with pytest.raises(NothingToCopyError, match=f"There is no {name} in .*_URL"):
        take(places, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
