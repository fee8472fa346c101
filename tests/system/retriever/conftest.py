"""The packaged embedding model for torch, and one retriever that runs on the one for ONNX."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.retriever.embedding_model import prepare_embedding_model
from tests.service.retriever.retriever import Client
from tests.system.retriever.process import real_retriever


@pytest.fixture(scope="package")
def anyio_backend() -> str:
    """Let one retriever serve many tests."""
    return "asyncio"


@pytest.fixture(scope="session")
def both_models_dir(models_dir: Path) -> Path:
    """The same, with the packaged model for torch as well."""
    prepare_embedding_model(models_dir)
    return models_dir


@pytest.fixture(scope="package")
async def client(
    models_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Client]:
    """A client of a running retriever."""
    async with real_retriever(tmp_path_factory.mktemp("data"), models_dir) as (client, _):
        yield client
