"""Settings: a misspelling never passes for the default."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field, SecretStr, ValidationError

from services.chassis.serving import Listening
from services.chassis.settings import ServiceSettings, SettingsGroup, settings_config


class Limits(SettingsGroup):
    concurrency: int = Field(default=8, ge=1)
    """How many at once."""


class Settings(ServiceSettings):
    model_config = settings_config("INKSTONE_SAMPLE_")

    listening: Listening = Listening()
    limits: Limits = Limits()
    api_key: SecretStr = SecretStr("")
    names: list[str] = Field(default_factory=list)


class OtherSettings(ServiceSettings):
    model_config = settings_config("INKSTONE_OTHER_")


def test_the_defaults_need_no_environment() -> None:
    assert Settings().limits.concurrency == 8


def test_the_environment_sets_plain_nested_and_structured_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INKSTONE_SAMPLE_API_KEY", "비밀")
    monkeypatch.setenv("INKSTONE_SAMPLE_LISTENING__PORT", "9000")
    monkeypatch.setenv("inkstone_sample_limits__concurrency", "3")
    monkeypatch.setenv("INKSTONE_SAMPLE_NAMES", '["가", "b"]')
    settings = Settings()
    assert settings.api_key.get_secret_value() == "비밀"
    assert (settings.listening.port, settings.limits.concurrency) == (9000, 3)
    assert settings.names == ["가", "b"]
    assert "비밀" not in repr(settings)


def test_one_value_of_a_group_leaves_the_services_own_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Elsewhere(ServiceSettings):
        model_config = settings_config("INKSTONE_SAMPLE_")
        listening: Listening = Listening(port=8003)

    monkeypatch.setenv("INKSTONE_SAMPLE_LISTENING__HOST", "0.0.0.0")
    listening = Elsewhere().listening
    assert (listening.host, listening.port) == ("0.0.0.0", 8003)


@pytest.mark.parametrize(
    "name",
    [
        "INKSTONE_SAMPLE_API_KEEY",
        "INKSTONE_SAMPLE_LIMIT__CONCURRENCY",
        "INKSTONE_SAMPLE_",
        "inkstone_sample_apikey",
        "INKSTONE_SAMPLE_PORT",  # what Kubernetes would inject for a Service of this name
    ],
)
def test_an_unknown_name_under_the_prefix_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(ValidationError, match=f"{name} names no setting") as caught:
        Settings()
    assert "INKSTONE_SAMPLE_API_KEY" in str(caught.value)


def test_a_misspelt_nested_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKSTONE_SAMPLE_LIMITS__CONCURENCY", "1")
    with pytest.raises(ValidationError, match="concurency"):
        Settings()


def test_a_value_outside_its_bounds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKSTONE_SAMPLE_LIMITS__CONCURRENCY", "0")
    with pytest.raises(ValidationError, match="concurrency"):
        Settings()


def test_another_services_names_are_none_of_its_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKSTONE_SAMPLE_API_KEY", "k")
    monkeypatch.setenv("INKSTONE_SAMPLER_ANYTHING", "k")
    OtherSettings()


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().limits = Limits(concurrency=1)


def test_a_field_explains_itself() -> None:
    assert Limits.model_fields["concurrency"].description == "How many at once."


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INKSTONE_SECRETS_DIR", str(tmp_path))
    return tmp_path


def test_a_file_of_secrets_stands_for_the_variable_of_its_name(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (secrets / "INKSTONE_SAMPLE_API_KEY").write_text("비밀\n")
    (secrets / "INKSTONE_OTHER_THING").write_text("of another service")
    assert Settings().api_key.get_secret_value() == "비밀"
    monkeypatch.setenv("INKSTONE_SAMPLE_API_KEY", "from the environment")
    assert Settings().api_key.get_secret_value() == "from the environment"


@pytest.mark.parametrize("name", ["INKSTONE_SAMPLE_API_KEEY", "INKSTONE_SAMPLE_LISTENING__PORT"])
def test_a_file_that_would_be_read_past_is_refused(secrets: Path, name: str) -> None:
    (secrets / name).write_text("1")
    with pytest.raises(ValidationError, match=f"{name} names no setting"):
        Settings()


def test_a_folder_of_secrets_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INKSTONE_SECRETS_DIR", str(tmp_path / "없음"))
    with pytest.raises(ValueError, match="no folder"):
        Settings()
