"""Fixtures that every system test shares."""

import os
from pathlib import Path

import pytest

from services.retriever.embedding_model import prepare_onnx_model
from tests.system.tiny_model import make_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny base model."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "tiny")


@pytest.fixture(scope="session")
def engine_cache() -> Path:
    """What makes the second start of an engine quicker than the first; kept between runs."""
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "inkstone-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the packaged embedding model, prepared for ONNX Runtime."""
    folder = tmp_path_factory.mktemp("models")
    prepare_onnx_model(folder)
    return folder
