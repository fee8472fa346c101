"""The shipped adapters: servable, small, named honestly, and trained with the shipped profiles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.contracts.adapters import CONFIG_FILE, MANIFEST_FILE, WEIGHTS_FILE, AdapterManifest
from services.contracts.assistants import Profile
from services.domain.fingerprint import chat_template_hash
from services.domain.preflight import inspect, read_header
from services.domain.rendering import prompt_hash
from tests.unit.tuner.conftest import TEMPLATE

EXAMPLES = Path(__file__).parents[3] / "examples"
PROFILES = {"formal": "formal", "friendly": "friendly", "marker-a": "plain", "marker-b": "plain"}
SIZE_LIMIT_BYTES = 8_000_000

pytestmark = pytest.mark.parametrize("name", sorted(PROFILES))


def _manifest(name: str) -> AdapterManifest:
    text = (EXAMPLES / "adapters" / name / MANIFEST_FILE).read_text("utf-8")
    return AdapterManifest.model_validate_json(text)


def test_it_passes_the_preflight_of_the_default_engine(name: str) -> None:
    folder = EXAMPLES / "adapters" / name
    config = json.loads((folder / CONFIG_FILE).read_text("utf-8"))
    weights = (folder / WEIGHTS_FILE).read_bytes()
    assert inspect(config, read_header(weights), max_rank=16).rank <= 16
    assert len(weights) < SIZE_LIMIT_BYTES


def test_it_falls_under_the_terms_of_its_base(name: str) -> None:
    manifest = _manifest(name)
    assert manifest.name == name
    assert manifest.license == "Gemma Terms of Use"
    assert manifest.base_model == "google/gemma-3-270m"


def test_it_was_trained_with_the_shipped_prompt_and_template(name: str) -> None:
    training = _manifest(name).training
    profile = (EXAMPLES / "profiles" / f"{PROFILES[name]}.json").read_text("utf-8")
    assert training.system_prompt_hash == prompt_hash(Profile.model_validate_json(profile))
    assert training.chat_template_hash == chat_template_hash(TEMPLATE.read_text("utf-8"))


def test_its_manifest_says_how_to_train_it_again(name: str) -> None:
    training = _manifest(name).training
    assert training.command is not None
    assert training.command.startswith("python -m services.tuner.training --base BASE")
    assert training.dataset_hash
    assert training.metrics["trained_tokens_min"] > 0
