"""A base named by a hub id is downloaded with the hub's own client."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from services.domain.fingerprint import chat_template_hash
from tests.fakes.hub import FakeHub
from tests.fakes.loopback import running

pytestmark = pytest.mark.anyio

FILES = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "tokenizer_config.json": json.dumps({"chat_template": "{{ messages }}"}).encode(),
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"the same weights again",
}


async def prepare(model: str, folder: Path, endpoint: str) -> tuple[int | None, list[Any]]:
    """Run the command as the supervisor does; returns its status and its events."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(folder / "hub"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.generator.base_model"),
        *("--models-dir", str(folder / "models"), "--model", model),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return process.returncode, [json.loads(line) for line in output.splitlines()]


async def test_a_hub_id_becomes_a_local_folder_without_what_is_not_needed(tmp_path: Path) -> None:
    hub = FakeHub("someone/some-model", FILES)
    async with running(hub.app) as endpoint:
        status, events = await prepare("someone/some-model", tmp_path, endpoint)
    assert status == 0, events
    ready = events[-1]
    assert (ready["stage"], ready["name"]) == ("ready", "someone/some-model")
    folder = Path(ready["path"])
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert not (folder / "pytorch_model.bin").exists()
    assert "pytorch_model.bin" not in hub.asked
    assert ready["chat_template_hash"] == chat_template_hash("{{ messages }}")
    assert [event["stage"] for event in events[:2]] == ["download", "download"]


async def test_an_id_that_the_hub_does_not_know_is_refused_with_the_mend(tmp_path: Path) -> None:
    hub = FakeHub("someone/some-model", FILES)
    async with running(hub.app) as endpoint:
        status, events = await prepare("someone/other", tmp_path, endpoint)
    assert status == 1
    assert (events[-1]["stage"], events[-1]["code"]) == ("failed", "base_model_missing")
