"""Finding an embedding model, as the supervisor does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.retriever.embedders.opening import load_encoder
from services.retriever.embedding_model import (
    ONNX_FOLDER,
    PACKAGED_MODEL,
    ModelNotFoundError,
    locate_model,
)
from services.retriever.onnx_model import MANIFEST_FILE, Likeness, OnnxManifest
from services.retriever.settings import Settings


def prepare(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    module = ["-m", "services.retriever.embedding_model", "--models-dir", str(folder)]
    return subprocess.run(
        [sys.executable, *module, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )


def test_a_name_that_leads_nowhere_is_said_in_one_sentence(tmp_path: Path) -> None:
    done = prepare(tmp_path, "--model", "no/such")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0].startswith("'no/such' is no folder here")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_taken_as_it_is_and_named_in_the_last_line(tmp_path: Path) -> None:
    model = tmp_path / "모델"
    model.mkdir()
    done = prepare(tmp_path, "--model", str(model))
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "stage": "ready",
        "done": 1,
        "total": 1,
        "path": str(model),
    }


def test_onnx_for_a_model_that_has_no_such_form_is_refused(tmp_path: Path) -> None:
    done = prepare(tmp_path, "--model", str(tmp_path), "--backend", "onnx")
    assert done.returncode == 1
    assert done.stderr.startswith("Only 'multilingual-e5-small' is served by ONNX Runtime: set ")
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_was_refused_for_onnx_gives_way_to_torch_and_says_so(tmp_path: Path) -> None:
    refused = OnnxManifest(
        recipe="int8-rows-1",
        source="0" * 64,
        files={},
        dimensions=2,
        max_tokens=8,
        padding=1,
        prompts={},
        likeness=Likeness(texts=44, mean=0.9, least=0.8),
        accepted=False,
    )
    (tmp_path / ONNX_FOLDER).mkdir()
    (tmp_path / ONNX_FOLDER / MANIFEST_FILE).write_text(refused.model_dump_json(), "utf-8")
    unpacked = tmp_path / PACKAGED_MODEL
    unpacked.mkdir()
    located = locate_model(PACKAGED_MODEL, tmp_path)
    assert (located.folder, located.manifest) == (unpacked, None)
    assert "cosine 0.9 on average, 0.8 at least" in (located.why_not_onnx or "")
    with pytest.raises(ModelNotFoundError, match="not like itself"):
        locate_model(PACKAGED_MODEL, tmp_path, "onnx")
    assert locate_model(PACKAGED_MODEL, tmp_path, "torch").why_not_onnx is None


def test_an_installation_without_torch_says_so_when_a_model_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    settings = Settings(data_dir=tmp_path, api_key=SecretStr("key"), embedding_model=str(tmp_path))
    with pytest.raises(ModelNotFoundError, match="EMBEDDING=onnx"):
        load_encoder(settings, set())
