"""OpenAI's files and fine-tuning jobs, by the official client, with a real training behind them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, ConflictError, NotFoundError
from openai.types.fine_tuning import FineTuningJob

from services.tuner.provenance import fingerprint_folder, template_hash_of
from tests.service.gateway.gateway import GatewayUnderTest, gateway_under_test
from tests.service.tuner.worker import working

pytestmark = pytest.mark.anyio

DEADLINE_SECONDS = 240
RECIPE = {"rank": 4, "alpha": 8, "precision": "float32", "threads": 1, "share": 1}
HYPER: Any = {"n_epochs": 2, "batch_size": 2}
LOOSE = {"accepted": ["too_few_rows", "one_answer_only"]}


@pytest.fixture
async def gateway(tmp_path: Path, base: Path) -> AsyncIterator[GatewayUnderTest]:
    async with gateway_under_test(tmp_path / "gateway") as running:
        fingerprint, template = fingerprint_folder(base), template_hash_of(base)
        await running.replica(base_fingerprint=fingerprint, chat_template_hash=template).beat()
        yield running


@pytest.fixture
async def client(gateway: GatewayUnderTest) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=f"{gateway.base_url}/v1", api_key=gateway.secrets["admin"], max_retries=0
    ) as client:
        yield client


@pytest.fixture
def model(gateway: GatewayUnderTest) -> str:
    """The base's name."""
    return gateway.resources.snapshot.replicas[0].base_model


def chat(count: int, word: str = "행") -> bytes:
    rows = [
        {
            "messages": [
                {"role": "system", "content": "짧게 답하세요."},
                {"role": "user", "content": f"{word} {n}은?"},
                {"role": "assistant", "content": f"{n}번입니다."},
            ]
        }
        for n in range(count)
    ]
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


async def uploaded(client: AsyncOpenAI, rows: bytes, purpose: Any = "fine-tune") -> str:
    file = await client.files.create(file=("행.jsonl", rows), purpose=purpose)
    await client.files.wait_for_processing(file.id)
    return file.id


async def ended(client: AsyncOpenAI, id_: str) -> FineTuningJob:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            job = await client.fine_tuning.jobs.retrieve(id_)
            if job.status in ("succeeded", "failed", "cancelled"):
                return job
            await asyncio.sleep(0.1)


async def test_the_official_client_s_code_trains_a_model(
    gateway: GatewayUnderTest, client: AsyncOpenAI, model: str, base: Path, tmp_path: Path
) -> None:
    job = await client.fine_tuning.jobs.create(
        model=model,
        training_file=await uploaded(client, chat(8)),
        validation_file=await uploaded(client, chat(2, "줄")),
        suffix="우리 말투 V1",
        seed=7,
        metadata={"team": "말투"},
        method={"type": "supervised", "supervised": {"hyperparameters": HYPER}},
        extra_body={"recipe": RECIPE, "gate": LOOSE},
    )
    assert (job.status, job.object, job.seed) == ("queued", "fine_tuning.job", 7)
    async with working(gateway, base, tmp_path / "work"):
        done = await ended(client, job.id)
    assert (done.status, done.error) == ("succeeded", None)
    assert done.fine_tuned_model is not None
    assert done.fine_tuned_model.startswith("v1@")
    assert done.trained_tokens
    assert done.hyperparameters.n_epochs == 2
    assert (await client.models.retrieve(done.fine_tuned_model)).id == done.fine_tuned_model

    events = [event async for event in client.fine_tuning.jobs.list_events(job.id, limit=3)]
    assert len({event.id for event in events}) == len(events)
    told = [event.message for event in reversed(events)]
    assert told[0] == f"Created fine-tuning job: {job.id}"
    assert told[-3:] == [
        f"New fine-tuned model created: {done.fine_tuned_model}",
        "The job has succeeded",
        f"Comparing {done.fine_tuned_model} with the base on the 2 cases of {job.id}",
    ]
    assert any(message.startswith("About ") for message in told)
    steps = [event.data for event in events if event.type == "metrics"]
    assert all(isinstance(step, dict) for step in steps)
    assert any("Step 1/8" in message for message in told)
    assert any("too_few_rows" in event.message for event in events if event.level == "warn")

    page = await client.fine_tuning.jobs.checkpoints.list(job.id)
    last, first = page.data
    assert last.fine_tuned_model_checkpoint == done.fine_tuned_model
    assert (last.step_number, first.step_number) == (8, 4)
    assert first.fine_tuned_model_checkpoint != last.fine_tuned_model_checkpoint
    earlier = await client.models.retrieve(first.fine_tuned_model_checkpoint)
    assert earlier.id == first.fine_tuned_model_checkpoint
    for one in (first, last):
        assert one.metrics.train_loss is not None
        assert one.metrics.full_valid_loss is not None

    table, curve = [await client.files.retrieve(id_) for id_ in reversed(done.result_files)]
    assert (table.purpose, curve.purpose) == ("fine-tune-results", "fine-tune-results")
    lines = (await client.files.content(table.id)).text.splitlines()
    assert lines[0] == "step,train_loss,valid_loss"
    assert [int(line.split(",")[0]) for line in lines[1:]] == list(range(1, 9))
    assert (await client.files.content(curve.id)).text.startswith("<svg")

    version = (await gateway.admin.get(f"/admin/adapters/{done.fine_tuned_model}")).body
    record = version["manifest"]["training"]
    assert record["recipe"]["seed"] == 7
    assert record["system_prompt_hash"] is None
    assert record["metrics"]["valid_loss"] > 0


async def test_lists_go_through_every_job_once_and_by_metadata(
    client: AsyncOpenAI, model: str
) -> None:
    file = await uploaded(client, chat(3))
    made = [
        (
            await client.fine_tuning.jobs.create(
                model=model, training_file=file, metadata={"team": team}
            )
        ).id
        for team in ("a", "b", "a")
    ]
    listed = [job.id async for job in client.fine_tuning.jobs.list(limit=2)]
    assert sorted(listed) == sorted(made)
    mine = await client.fine_tuning.jobs.list(extra_query={"metadata[team]": "a"})
    assert {job.id for job in mine.data} == {made[0], made[2]}


async def test_a_file_that_must_not_be_trained_on_fails_the_job_with_a_code(
    gateway: GatewayUnderTest, client: AsyncOpenAI, model: str, base: Path, tmp_path: Path
) -> None:
    few = await client.fine_tuning.jobs.create(
        model=model, training_file=await uploaded(client, chat(8))
    )
    broken = await client.fine_tuning.jobs.create(
        model=model, training_file=await uploaded(client, chat(3) + b'\n{"messages": [')
    )
    leaked = await client.fine_tuning.jobs.create(
        model=model,
        training_file=await uploaded(client, chat(8)),
        validation_file=await uploaded(client, chat(1)),
        extra_body={"gate": LOOSE},
    )
    unanswered = {"messages": [{"role": "user", "content": "행?"}]}
    silent = await client.fine_tuning.jobs.create(
        model=model, training_file=await uploaded(client, json.dumps(unanswered).encode())
    )
    doubled = {"messages": [{"role": "user", "content": "행?"}] * 2}
    roles = await client.fine_tuning.jobs.create(
        model=model,
        training_file=await uploaded(client, chat(3) + b"\n" + json.dumps(doubled).encode()),
    )
    long = await client.fine_tuning.jobs.create(
        model=model, training_file=await uploaded(client, chat(60))
    )
    knobs = [
        await client.fine_tuning.jobs.create(
            model=model,
            training_file=await uploaded(client, chat(8)),
            extra_body={"recipe": recipe},
        )
        for recipe in ({"ranks": 4}, {"rank": 1000}, {"seed": "first"})
    ]
    measured = await client.fine_tuning.jobs.create(
        model=model,
        training_file=await uploaded(client, chat(8)),
        validation_file=await uploaded(client, b'{"messages": [}\n'),
        extra_body={"recipe": RECIPE, "gate": LOOSE},
    )
    jobs = (few, broken, leaked, silent, roles, long, *knobs, measured)
    async with working(gateway, base, tmp_path / "work", max_rows=50):
        ends = [await ended(client, job.id) for job in jobs]
    assert [job.status for job in ends] == ["failed"] * len(jobs)
    errors = [job.error for job in ends if job.error is not None]
    assert [(error.code, error.param) for error in errors] == [
        ("too_few_rows", "training_file"),
        ("row_not_json", "training_file"),
        ("leaked_rows", "training_file"),
        ("row_without_answer", "training_file"),
        ("row_roles", "training_file"),
        ("too_many_rows", "training_file"),
        ("recipe_invalid", "recipe"),
        ("recipe_invalid", "recipe"),
        ("recipe_invalid", "recipe"),
        ("validation_file_invalid", "validation_file"),
    ]
    assert "Line 4" in errors[1].message
    assert "column 15" in errors[1].message
    assert "`ranks`" in errors[6].message
    assert "`rank`" in errors[7].message
    assert errors[9].message.startswith("In the validation file: Line 1: column 15")
    # What was uploaded is as it was.
    assert (await client.files.content(few.training_file)).content == chat(8)
    assert not any((tmp_path / "work" / "jobs").iterdir())


async def test_an_adapter_that_the_engines_could_not_serve_fails_its_job(
    gateway: GatewayUnderTest, client: AsyncOpenAI, model: str, base: Path, tmp_path: Path
) -> None:
    await gateway.replica(base_fingerprint="ba5e00000000").beat()
    job = await client.fine_tuning.jobs.create(
        model=model,
        training_file=await uploaded(client, chat(8)),
        extra_body={"recipe": RECIPE, "gate": LOOSE},
    )
    async with working(gateway, base, tmp_path / "work"):
        done = await ended(client, job.id)
    assert (done.status, done.error and done.error.code) == ("failed", "adapter_wrong_base")
    assert done.fine_tuned_model is None


async def test_a_paused_job_waits_until_it_is_resumed_and_a_cancelled_one_is_over(
    gateway: GatewayUnderTest, client: AsyncOpenAI, model: str, base: Path, tmp_path: Path
) -> None:
    file = await uploaded(client, chat(8))
    body = {"recipe": RECIPE, "gate": LOOSE}
    paused = await client.fine_tuning.jobs.create(model=model, training_file=file, extra_body=body)
    other = await client.fine_tuning.jobs.create(model=model, training_file=file, extra_body=body)
    assert str((await client.fine_tuning.jobs.pause(paused.id)).status) == "paused"
    async with working(gateway, base, tmp_path / "work"):
        assert (await ended(client, other.id)).status == "succeeded"
        assert str((await client.fine_tuning.jobs.retrieve(paused.id)).status) == "paused"
        await client.fine_tuning.jobs.resume(paused.id)
        assert (await ended(client, paused.id)).status == "succeeded"
    third = await client.fine_tuning.jobs.create(model=model, training_file=file)
    assert (await client.fine_tuning.jobs.cancel(third.id)).status == "cancelled"
    with pytest.raises(ConflictError, match="already"):
        await client.fine_tuning.jobs.cancel(third.id)
    with pytest.raises(ConflictError, match="not paused"):
        await client.fine_tuning.jobs.resume(third.id)


async def test_a_running_job_that_is_paused_goes_on_where_it_stood(
    gateway: GatewayUnderTest, client: AsyncOpenAI, model: str, base: Path, tmp_path: Path
) -> None:
    recipe = {**RECIPE, "checkpoint_steps": 2, "batch": 1}
    job = await client.fine_tuning.jobs.create(
        model=model,
        training_file=await uploaded(client, chat(20)),
        hyperparameters={"n_epochs": 20},
        extra_body={"recipe": recipe, "gate": LOOSE},
    )
    async with working(gateway, base, tmp_path / "work"):
        await _until_step(client, job.id, 6)
        await client.fine_tuning.jobs.pause(job.id)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while str((await client.fine_tuning.jobs.retrieve(job.id)).status) != "paused":
                await asyncio.sleep(0.1)
        reached = max(await _steps(client, job.id))
        await client.fine_tuning.jobs.resume(job.id)
        await _until_step(client, job.id, reached + 2)
        steps = await _steps(client, job.id)
        await client.fine_tuning.jobs.cancel(job.id)
        assert (await ended(client, job.id)).status == "cancelled"
    again = steps[steps.index(reached) + 1 :]
    assert reached - 3 <= again[0] <= reached + 1


async def _steps(client: AsyncOpenAI, id_: str) -> list[int]:
    """The steps that were told of, in their order."""
    events = [event async for event in client.fine_tuning.jobs.list_events(id_, limit=100)]
    data: list[Any] = [event.data for event in reversed(events) if event.type == "metrics"]
    return [step["step"] for step in data]


async def _until_step(client: AsyncOpenAI, id_: str, step: int) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while max(await _steps(client, id_), default=0) < step:
            await asyncio.sleep(0.1)


async def test_what_cannot_be_trained_is_refused_at_once(
    client: AsyncOpenAI, gateway: GatewayUnderTest, model: str
) -> None:
    jobs, file = client.fine_tuning.jobs, await uploaded(client, chat(3))
    with pytest.raises(NotFoundError) as unknown:
        await jobs.create(model="gpt-4o-mini", training_file=file)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(BadRequestError) as missing:
        await jobs.create(model=model, training_file="file-nowhere")
    assert (missing.value.code, missing.value.param) == ("file_not_found", "training_file")
    other = await uploaded(client, chat(3), "user_data")
    with pytest.raises(BadRequestError) as wrong:
        await jobs.create(model=model, training_file=other)
    assert wrong.value.code == "wrong_purpose"
    with pytest.raises(BadRequestError):
        await jobs.create(model=model, training_file=file, hyperparameters={"n_epochs": 99})
    with pytest.raises(BadRequestError):
        await jobs.create(model=model, training_file=file, method={"type": "dpo", "dpo": {}})
    with pytest.raises(NotFoundError):
        await jobs.retrieve("job_nowhere")
    assert (await jobs.list()).data == []
    reply = await gateway.application.get("/v1/fine_tuning/jobs")
    assert reply.status == 403
