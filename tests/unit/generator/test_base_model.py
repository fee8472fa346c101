"""Finding the base: a folder, the packaged one, or a model of the hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.domain.fingerprint import base_fingerprint, chat_template_hash
from services.generator import packaged_base
from services.generator.base_model import BaseModelMissing, locate

TEMPLATE = "{{ messages }}"


def silent(*_: object) -> None:
    return None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder in which nothing can be loaded."""
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE}))
    return folder


def test_a_folder_is_named_by_its_content(folder: Path, tmp_path: Path) -> None:
    base = locate(str(folder), tmp_path / "models", silent)
    assert (base.name, base.folder) == ("my-model", folder)
    assert base.chat_template_hash == chat_template_hash(TEMPLATE)
    import hashlib

    files = ("config.json", "tokenizer.json", "model.safetensors")
    hashes = [(f, hashlib.sha256((folder / f).read_bytes()).hexdigest()) for f in files]
    assert base.fingerprint == base_fingerprint(hashes)


def test_a_folder_is_hashed_once_and_again_when_it_changes(folder: Path, tmp_path: Path) -> None:
    stages: list[str] = []

    def noted(stage: str, *_: object) -> None:
        stages.append(stage)

    first = locate(str(folder), tmp_path / "models", noted)
    assert "fingerprint" in stages
    stages.clear()
    assert locate(str(folder), tmp_path / "models", noted) == first
    assert stages == []
    (folder / "model.safetensors").write_bytes(b"other weights")
    assert locate(str(folder), tmp_path / "models", noted).fingerprint != first.fingerprint


def test_a_template_in_a_file_of_its_own_comes_first(folder: Path, tmp_path: Path) -> None:
    (folder / "chat_template.jinja").write_text("other")
    base = locate(str(folder), tmp_path / "models", silent)
    assert base.chat_template_hash == chat_template_hash("other")


def test_a_base_without_a_template_has_no_hash(folder: Path, tmp_path: Path) -> None:
    (folder / "tokenizer_config.json").unlink()
    assert locate(str(folder), tmp_path / "models", silent).chat_template_hash == ""


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseModelMissing, match=r"config\.json"):
        locate(str(tmp_path), tmp_path / "models", silent)


def test_a_name_that_nobody_knows_is_refused_with_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "services.generator.base_model"),
            *("--models-dir", str(tmp_path), "--model", "nobody/nothing"),
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 1
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["stage"] == "failed"
    assert last["code"] == "base_model_missing"
    assert "INKSTONE_GENERATOR_BASE_MODEL" in last["message"]


def test_the_command_reports_progress_line_by_line(folder: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "services.generator.base_model"),
            *("--models-dir", str(tmp_path / "models"), "--model", str(folder)),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    *progress, ready = [json.loads(line) for line in done.stdout.splitlines()]
    assert {event["stage"] for event in progress} == {"fingerprint"}
    assert all(0 <= event["done"] <= event["total"] for event in progress)
    assert ready["stage"] == "ready"
    assert ready["path"] == str(folder)
    assert len(ready["fingerprint"]) == 12


def test_a_preparation_that_breaks_off_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken(stage: str, *_: object) -> None:
        raise KeyboardInterrupt(stage)

    with pytest.raises(KeyboardInterrupt):
        packaged_base.prepare(tmp_path / "models", broken)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_base_of_another_template_is_not_current(tmp_path: Path) -> None:
    assert not packaged_base.is_current(tmp_path)
    record = tmp_path / packaged_base.RECORD_FILE
    record.write_text(json.dumps({"chat_template_hash": "0" * 12}))
    assert not packaged_base.is_current(tmp_path)
    current = chat_template_hash(packaged_base.chat_template())
    record.write_text(json.dumps({"chat_template_hash": current}))
    assert packaged_base.is_current(tmp_path)
    record.write_text("{broken")
    assert not packaged_base.is_current(tmp_path)
