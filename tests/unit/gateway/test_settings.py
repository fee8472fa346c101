"""The gateway's settings, as an installation gives them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.gateway.settings import Settings

REQUIRED = {
    "INKSTONE_GATEWAY_DATA_DIR": "/srv/inkstone",
    "INKSTONE_GATEWAY_RETRIEVER_API_KEY": "hidden-key",
}


def settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in {**REQUIRED, **variables}.items():
        monkeypatch.setenv(name, value)
    return Settings()


def test_what_is_derived_lies_in_the_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    made = settings(monkeypatch)
    assert made.registry_url == "sqlite+aiosqlite:////srv/inkstone/gateway.sqlite3"
    assert made.artifact_store_url == "file:///srv/inkstone/artifacts"
    assert made.adapter_import_dirs == ()
    assert made.listening.port == 8000


def test_variables_are_read_nested_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    made = settings(
        monkeypatch,
        INKSTONE_GATEWAY_LISTENING__PORT="9000",
        INKSTONE_GATEWAY_ADAPTER_IMPORT_DIRS='["/data/어댑터"]',
        INKSTONE_GATEWAY_PRICES__PROMPT="0.5",
        INKSTONE_GATEWAY_DATABASE_URL="postgresql://u:secret@db/inkstone",
        INKSTONE_GATEWAY_ARTIFACTS_URL="s3://bucket/inkstone",
    )
    assert made.listening.port == 9000
    assert made.adapter_import_dirs == (Path("/data/어댑터"),)
    assert made.prices.prompt == 0.5
    assert made.registry_url == "postgresql://u:secret@db/inkstone"
    assert made.artifact_store_url == "s3://bucket/inkstone"


def test_no_secret_shows_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = settings(
        monkeypatch,
        INKSTONE_GATEWAY_DATABASE_URL="postgresql://u:secret@db/inkstone",
        INKSTONE_GATEWAY_ENGINE_API_KEY="engine-key",
    )
    for secret in ("hidden-key", "secret@", "engine-key"):
        assert secret not in repr(made)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INKSTONE_GATEWAY_DATABSE_URL", "x"),
        ("INKSTONE_GATEWAY_PRICES__PROMTP", "1"),
        ("INKSTONE_GATEWAY_DATABASE_CONNECTIONS", "1"),
        ("INKSTONE_GATEWAY_WARM_TIMEOUT_SECONDS", "0"),
    ],
)
def test_a_misspelt_or_impossible_setting_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(ValidationError):
        settings(monkeypatch, **{name: value})
