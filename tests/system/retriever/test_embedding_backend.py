"""Which backend serves a home, on the real model."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr

from services.chassis.telemetry import open_registry
from services.retriever.embedders.opening import open_embedder
from services.retriever.embedding_model import ONNX_FOLDER, PACKAGED_MODEL, fingerprint_of
from services.retriever.metrics import open_metrics
from services.retriever.onnx_model import read_manifest
from services.retriever.settings import Embedding, Settings
from tests.system.retriever.process import real_retriever

pytestmark = pytest.mark.anyio

TORCH = {"INKSTONE_RETRIEVER_EMBEDDING__BACKEND": "torch"}
ONNX = {"INKSTONE_RETRIEVER_EMBEDDING__BACKEND": "onnx"}
DEADLINE_SECONDS = 60


def fingerprints(models: Path) -> tuple[str, str]:
    """Those of the ONNX form and of the torch form."""
    manifest = read_manifest(models / ONNX_FOLDER)
    assert manifest is not None
    return manifest.fingerprint, fingerprint_of(models / PACKAGED_MODEL)


async def backend(models: Path, tmp_path: Path, built_with: set[str], **chosen: str) -> str:
    """Open an embedder and give its fingerprint."""
    settings = Settings(
        api_key=SecretStr("test"),
        data_dir=tmp_path,
        models_dir=models,
        embedding_model=chosen.get("model", PACKAGED_MODEL),
        embedding=Embedding.model_validate({"backend": chosen.get("backend", "auto")}),
    )
    metrics = open_metrics(open_registry())
    async with open_embedder(settings, built_with, metrics) as embedder:
        assert np.linalg.norm(await embedder.question("안녕하세요")) == pytest.approx(1, abs=1e-5)
        return embedder.fingerprint


async def test_a_new_home_is_served_by_onnx(both_models_dir: Path, tmp_path: Path) -> None:
    onnx, torch = fingerprints(both_models_dir)
    assert onnx != torch
    assert await backend(both_models_dir, tmp_path, set()) == onnx
    assert await backend(both_models_dir, tmp_path, {onnx}) == onnx
    assert await backend(both_models_dir, tmp_path, {onnx, torch}) == onnx
    assert await backend(both_models_dir, tmp_path, {"0123456789ab"}) == onnx


async def test_collections_that_torch_made_keep_torch_unless_told_otherwise(
    both_models_dir: Path, tmp_path: Path
) -> None:
    onnx, torch = fingerprints(both_models_dir)
    assert await backend(both_models_dir, tmp_path, {torch}) == torch
    assert await backend(both_models_dir, tmp_path, {torch}, backend="onnx") == onnx
    assert await backend(both_models_dir, tmp_path, {onnx}, backend="torch") == torch


async def test_any_other_model_goes_through_torch(both_models_dir: Path, tmp_path: Path) -> None:
    folder = both_models_dir / PACKAGED_MODEL
    found = await backend(tmp_path / "models", tmp_path, set(), model=str(folder))
    assert found == fingerprint_of(folder)
    assert not (tmp_path / "models").exists()


async def test_an_older_home_is_opened_served_and_never_mixed(
    both_models_dir: Path, tmp_path: Path
) -> None:
    onnx, torch = fingerprints(both_models_dir)

    async def made_with(name: str) -> str:
        page = (await client.call("GET", "/collections")).body["data"]
        (found,) = (c["embedding_fingerprint"] for c in page if c["id"] == name)
        return str(found)

    async with real_retriever(tmp_path, both_models_dir, TORCH) as (client, _):
        await client.put("d", "배송은 이틀 걸립니다.", "former")
        assert await made_with("former") == torch
    async with real_retriever(tmp_path, both_models_dir) as (client, _):
        assert (await client.search("며칠 걸려요?", "former")).passages == ["배송은 이틀 걸립니다."]
        await client.put("d", "apple", "later")
        assert await made_with("later") == torch
    async with real_retriever(tmp_path, both_models_dir, ONNX) as (client, _):
        async with asyncio.timeout(DEADLINE_SECONDS):
            while await made_with("former") != onnx:
                reply = await client.search("며칠 걸려요?", "former")
                assert reply.status == 200 or reply.code == "reembedding"
                await asyncio.sleep(0.05)
        assert (await client.search("며칠 걸려요?", "former")).passages == ["배송은 이틀 걸립니다."]
        await client.put("d", "apple", "latest")
        assert await made_with("latest") == onnx


async def test_the_serving_process_holds_no_torch(models_dir: Path, tmp_path: Path) -> None:
    async with real_retriever(tmp_path, models_dir) as (client, process):
        await client.put("d", "apple")
        assert (await client.search("apple")).passages == ["apple"]
        mapped = await asyncio.to_thread(Path(f"/proc/{process.pid}/maps").read_text)
        assert "onnxruntime" in mapped
        assert "torch" not in mapped


def test_preparing_needs_no_torch(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from services.retriever import embedding_model as m;"
        "m.prepare_onnx_model(Path(sys.argv[1]));"
        "heavy = {'torch', 'transformers', 'sentence_transformers'} & set(sys.modules);"
        "sys.exit(' '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path], check=False)
    assert done.returncode == 0
