"""The agent's settings are strict."""

import pytest
from pydantic import ValidationError

from services.generator.settings import Settings

REQUIRED = {"INKSTONE_GENERATOR_API_KEY": "a", "INKSTONE_GENERATOR_ENGINE_API_KEY": "b"}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)


def test_the_keys_are_enough_and_are_not_shown() -> None:
    settings = Settings()
    assert settings.api_key.get_secret_value() == "a"
    assert "'b'" not in repr(settings)


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_a_missing_key_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(ValidationError):
        Settings()


def test_groups_are_read_field_by_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKSTONE_GENERATOR_ENGINE__KV_CACHE_GIB", "3")
    monkeypatch.setenv("INKSTONE_GENERATOR_ENGINE__EXTRA_ARGUMENTS", '["--max-num-seqs", "1"]')
    monkeypatch.setenv("INKSTONE_GENERATOR_ADAPTERS__DRAIN_GRACE_SECONDS", "5")
    settings = Settings()
    assert settings.engine.kv_cache_gib == 3
    assert settings.engine.extra_arguments == ("--max-num-seqs", "1")
    assert settings.adapters.drain_grace_seconds == 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_LORAZ", "2"),
        ("ENGINE__KV_CACHE", "2"),
        ("MAX_LORA_RANK", "17"),
        ("MAX_LORAS", "0"),
        ("MAX_CPU_LORAS", "2"),
        ("REPLICA", "a b"),
        ("ENGINE__DEVICE", "tpu"),
        ("ENGINE__KV_CACHE_GIB", "0"),
    ],
)
def test_a_misspelt_name_or_an_impossible_value_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"INKSTONE_GENERATOR_{name}", value)
    with pytest.raises(ValidationError):
        Settings()
