"""Finding an embedding model, as the supervisor does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


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
