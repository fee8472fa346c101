"""Trainings whose processes are killed end as if nothing had happened, with the same losses."""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from services.contracts.datasets import DatasetPolicy
from services.tuner.history import RESULTS_FILE
from services.tuner.progress import ProgressLines
from services.tuner.provenance import fingerprint_folder, template_hash_of
from services.tuner.recipe import Recipe
from services.tuner.run import TrainingRun
from services.tuner.training import train
from tests.fakes.agent import eventually
from tests.service.gateway.gateway import GatewayUnderTest, gateway_under_test
from tests.service.tuner.kills import kill_after, kill_trainee
from tests.service.tuner.process import Tuner
from tests.service.tuner.worker import working

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
    ),
]

PATIENCE = 600.0
TOLERANCE = 1e-4
"""Of a loss; the trace of a run that was killed is the same up to the last digits."""

TRIES = 5
"""A training that was over before the kill proves nothing, and is tried again."""

KILLS = 20
KILLS_PER_JOB = 2
ACCEPTED = ["too_few_rows", "one_answer_only"]


def rows(count: int) -> bytes:
    lines = [
        {
            "messages": [
                {"role": "user", "content": f"행 {n}은?"},
                {"role": "assistant", "content": f"{n}번"},
            ]
        }
        for n in range(count)
    ]
    return "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()


def knobs(**more: Any) -> dict[str, Any]:
    return {
        "rank": 4, "alpha": 8, "precision": "float32", "batch": 1, "checkpoint_steps": 5,
        "epochs": 10, "keep": 0, **more,
    }  # fmt: skip


def undisturbed(base: Path, folder: Path, recipe: dict[str, Any], count: int) -> dict[int, float]:
    """The losses of a run that nobody kills, by step."""
    folder.mkdir()
    (folder / "rows.jsonl").write_bytes(rows(count))
    run = TrainingRun(
        base=base,
        rows=folder / "rows.jsonl",
        profile=None,
        name="calm",
        out=folder / "out",
        recipe=Recipe.model_validate(recipe),
        base_model="tiny",
        license="none",
        gate=DatasetPolicy(accepted=ACCEPTED),
        report=folder / "report",
    )
    train(run, ProgressLines(io.StringIO()))
    return trace((folder / "report" / RESULTS_FILE).read_text())


def trace(table: str) -> dict[int, float]:
    cells = [line.split(",") for line in table.split()[1:]]
    return {int(step): float(loss) for step, loss, _ in cells if loss}


async def queued(client: AsyncOpenAI, recipe: dict[str, Any], count: int) -> str:
    file = await client.files.create(file=("rows.jsonl", rows(count)), purpose="fine-tune")
    job = await client.fine_tuning.jobs.create(
        model="base",
        training_file=file.id,
        extra_body={"recipe": recipe, "gate": {"accepted": ACCEPTED}},
    )
    return job.id


async def reached(client: AsyncOpenAI, job: str, step: int) -> bool:
    page = await client.fine_tuning.jobs.list_events(job, limit=100)
    steps: list[Any] = [event.data for event in page.data if event.type == "metrics"]
    return max((data["step"] for data in steps), default=0) >= step


async def losses(client: AsyncOpenAI, job: str) -> dict[int, float]:
    """Wait for a job to succeed, and read its losses."""

    async def is_over() -> bool:
        status = (await client.fine_tuning.jobs.retrieve(job)).status
        assert status not in ("failed", "cancelled")
        return status == "succeeded"

    await eventually(is_over, seconds=PATIENCE)
    done = await client.fine_tuning.jobs.retrieve(job)
    files = [await client.files.retrieve(id_) for id_ in done.result_files]
    (table,) = [file.id for file in files if file.filename.endswith(RESULTS_FILE)]
    return trace((await client.files.content(table)).text)


@pytest.fixture
async def gateway(tmp_path: Path, base: Path) -> AsyncIterator[GatewayUnderTest]:
    limits = {"lease_seconds": 3.0, "max_attempts": 100}
    async with gateway_under_test(tmp_path / "gateway", training=limits) as running:
        fingerprint, template = fingerprint_folder(base), template_hash_of(base)
        await running.replica(base_fingerprint=fingerprint, chat_template_hash=template).beat()
        yield running


@pytest.fixture
async def client(gateway: GatewayUnderTest) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=f"{gateway.base_url}/v1", api_key=gateway.secrets["admin"], max_retries=0
    ) as client:
        yield client


@pytest.mark.long
async def test_a_training_that_is_killed_goes_on_and_loses_nothing(
    gateway: GatewayUnderTest, client: AsyncOpenAI, base: Path, tmp_path: Path
) -> None:
    recipe, count = knobs(epochs=8), 12
    expected = undisturbed(base, tmp_path / "calm", recipe, count)
    async with working(gateway, base, work := tmp_path / "work"):
        for _ in range(TRIES):
            job = await queued(client, recipe, count)
            first = work / "jobs" / job / "adapter" / "checkpoints" / "checkpoint-5"
            killed = await asyncio.to_thread(kill_after, first, os.getpid())
            assert await losses(client, job) == pytest.approx(expected, abs=TOLERANCE)
            if killed:
                break
    events = [event.message async for event in client.fine_tuning.jobs.list_events(job, limit=100)]
    assert sum("SIGKILL" in message for message in events) == 1
    assert sum(message.startswith("Training on") for message in events) == 2


@pytest.mark.long
async def test_twenty_kills_at_any_time_change_no_loss(
    gateway: GatewayUnderTest, client: AsyncOpenAI, base: Path, tmp_path: Path
) -> None:
    chance = random.Random(20)
    recipe, count = knobs(epochs=30), 20
    expected = undisturbed(base, tmp_path / "calm", recipe, count)
    tuner = Tuner.of(gateway, base, tmp_path / "work")
    killed = {"training": 0, "tuner": 0}
    try:
        for number in range(KILLS // KILLS_PER_JOB):
            job = await queued(client, recipe, count)
            for kill in range(KILLS_PER_JOB):
                await _some_time(client, job, chance)
                if (number + kill) % 2:
                    tuner.kill()
                    killed["tuner"] += 1
                else:
                    await kill_trainee(tuner.process.pid)
                    killed["training"] += 1
            assert await losses(client, job) == pytest.approx(expected, abs=TOLERANCE)
    finally:
        tuner.stop()
    assert sum(killed.values()) == KILLS


async def _some_time(client: AsyncOpenAI, job: str, chance: random.Random) -> None:
    """Wait until a training is somewhere: loading, at a random step, or between two."""
    if chance.random() < 0.8:
        step = chance.randrange(1, 300)
        await eventually(lambda: reached(client, job, step), seconds=PATIENCE)
    await asyncio.sleep(chance.random())
