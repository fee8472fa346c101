"""What an adapter folder is found to be before it is registered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.chassis.errors import ServiceError
from services.contracts.adapters import (
    CONFIG_FILE,
    MANIFEST_FILE,
    WEIGHTS_FILE,
    AdapterManifest,
    ReplicaReport,
)
from services.gateway.adapters.examination import Candidate, Labels, examine
from tests.fakes.adapters import version_of, write_adapter
from tests.fakes.agent import FakeAgent


async def nowhere(_: dict[str, Any]) -> Any:
    raise AssertionError("nothing is posted here")


def replica(**fields: Any) -> ReplicaReport:
    return FakeAgent(nowhere, **fields).report


def with_manifest(folder: Path, **fields: Any) -> Path:
    path = folder / MANIFEST_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    return folder


def refusal(folder: Path, *replicas: ReplicaReport, labels: Labels | None = None) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        examine(folder, labels or Labels(), replicas)
    return caught.value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "adapter", "formal")


def test_the_id_is_the_name_and_the_head_of_the_content_hash(folder: Path) -> None:
    found = examine(folder, Labels(), [])
    assert isinstance(found, Candidate)
    assert found.content_hash == version_of(folder)
    assert found.id == f"formal@{found.content_hash[:12]}"
    assert found.artifact_key == f"adapters/formal/{found.content_hash[:12]}"
    assert (found.shape.rank, found.shape.target_modules) == (8, ("q_proj",))
    assert found.bytes == sum((folder / n).stat().st_size for n in (CONFIG_FILE, WEIGHTS_FILE))


def test_labels_replace_what_the_manifest_says_and_are_stored(folder: Path) -> None:
    found = examine(folder, Labels("other", "격식체"), [])
    assert found.id.startswith("other@")
    stored = AdapterManifest.model_validate_json((folder / MANIFEST_FILE).read_text())
    assert (stored.name, stored.description) == ("other", "격식체")


def test_an_adapter_without_a_manifest_needs_a_name(folder: Path) -> None:
    (folder / MANIFEST_FILE).unlink()
    refused = refusal(folder)
    assert (refused.status, refused.code) == (400, "adapter_name_missing")
    found = examine(folder, Labels("named"), [])
    assert found.manifest.base_model == "base"


def test_a_rank_over_the_smallest_replicas_limit_is_refused(folder: Path) -> None:
    assert examine(folder, Labels(), [replica(max_lora_rank=8)])
    refused = refusal(folder, replica(max_lora_rank=64), replica(max_lora_rank=4))
    assert (refused.status, refused.code) == (422, "adapter_rank_too_high")


def test_an_adapter_of_another_base_is_refused_where_bases_are_known(folder: Path) -> None:
    with_manifest(folder, training={"base_fingerprint": "0123456789ab"})
    assert examine(folder, Labels(), [])
    refused = refusal(folder, replica(base_fingerprint="ffffffffffff"))
    assert refused.code == "adapter_wrong_base"
    assert "0123456789ab" in refused.message
    assert examine(folder, Labels(), [replica(), replica(base_fingerprint="0123456789ab")])


@pytest.mark.parametrize(
    ("file", "content", "code"),
    [
        (CONFIG_FILE, b"", "adapter_broken_config"),
        (CONFIG_FILE, b"[]", "adapter_broken_config"),
        (CONFIG_FILE, b"[" * 100_000, "adapter_broken_config"),
        (CONFIG_FILE, b" " * (2 * 1024 * 1024), "adapter_broken_config"),
        (CONFIG_FILE, b'{"peft_type": "IA3"}', "adapter_not_lora"),
        (WEIGHTS_FILE, b"", "adapter_not_safetensors"),
        (WEIGHTS_FILE, b"\x80\x04pickle", "adapter_not_safetensors"),
        (WEIGHTS_FILE, b"\xff" * 64, "adapter_not_safetensors"),
        (MANIFEST_FILE, b"{", "adapter_broken_config"),
        (MANIFEST_FILE, b'{"name": "Bad Name", "base_model": "b"}', "adapter_broken_manifest"),
        (MANIFEST_FILE, b'{"name": "x"}', "adapter_broken_manifest"),
        (MANIFEST_FILE, b'{"name": "x", "base_model": "b", "odd": 1}', "adapter_broken_manifest"),
    ],
)
def test_a_broken_file_is_refused_with_its_own_code(
    file: str, content: bytes, code: str, folder: Path
) -> None:
    (folder / file).write_bytes(content)
    refused = refusal(folder)
    assert (refused.status, refused.code) == (422, code)


def test_truncated_weights_are_refused(folder: Path) -> None:
    weights = (folder / WEIGHTS_FILE).read_bytes()
    (folder / WEIGHTS_FILE).write_bytes(weights[:-1])
    assert refusal(folder).code == "adapter_truncated"
