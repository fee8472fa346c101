"""What a training made is compared with what was there before, and the job says what follows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.chassis.artifacts import ArtifactStore
from services.contracts.jobs import CASES_FILE
from services.gateway.registry import tables
from tests.fakes.adapters import version_of, write_adapter
from tests.fakes.agent import eventually
from tests.fakes.engine_generation import Call
from tests.service.gateway.chat_stack import ChatStack, chat_stack
from tests.service.gateway.gateway import Reply
from tests.service.gateway.rollout_calls import begin
from tests.service.gateway.test_evaluations import better, case, put

pytestmark = pytest.mark.anyio

PATIENCE = 60.0
SETTINGS: dict[str, Any] = {
    "rollouts": {"look_seconds": 0.02},
    "evaluations": {"look_seconds": 0.02},
    "training": {"max_open": 3, "max_running": 2},
}
JOBS = "/v1/fine_tuning/jobs"
ROW = {"prompt": [{"role": "user", "content": "?"}], "completion": []}


@pytest.fixture
async def stack(tmp_path: Path, database_url: str | None) -> AsyncIterator[ChatStack]:
    async with chat_stack(tmp_path, database_url=database_url, **SETTINGS) as made:
        made.engine.reply = _marked
        yield made


def _marked(call: Call) -> str:
    return str(call.marker or "old")


async def uploaded(stack: ChatStack) -> str:
    async with stack.openai("admin") as client:
        file = await client.files.create(
            file=("행.jsonl", b'{"messages": []}'), purpose="fine-tune"
        )
    return file.id


async def created(stack: ChatStack, *, file: str | None = None, **fields: Any) -> Reply:
    file = file or await uploaded(stack)
    body = {"model": stack.engine.base_model, "training_file": file, "suffix": "new", **fields}
    return await stack.gateway.admin.post(JOBS, json=body)


async def claimed(stack: ChatStack, **fields: Any) -> Any:
    tuner = stack.gateway.client(stack.gateway.secrets["tuner"])
    return (await tuner.post("/internal/jobs/claim", json={"worker": "w1", **fields})).body


async def trained(
    stack: ChatStack, cases: list[dict[str, Any]] | None = None, **fields: Any
) -> tuple[str, str]:
    """Create a job and end it as a worker would; return the job's id and the version."""
    reply = await created(stack, **fields)
    assert reply.status == 200, reply
    return reply.body["id"], await finished(stack, await claimed(stack), cases)


async def finished(
    stack: ChatStack, lease: dict[str, Any], cases: list[dict[str, Any]] | None = None
) -> str:
    store = ArtifactStore(stack.gateway.settings.artifact_store_url)
    folder = write_adapter(stack.folder / "made", "new")
    (report := stack.folder / "report").mkdir(exist_ok=True)
    (report / "results.csv").write_text("step,train_loss,valid_loss\n1,0.5,\n")
    if cases:
        lines = [json.dumps(one, ensure_ascii=False) for one in cases]
        (report / CASES_FILE).write_text("\n".join(lines))
    await store.put_folder(lease["output_key"], folder)
    await store.put_folder(lease["report_key"], report)
    version = f"new@{version_of(folder)[:12]}"
    stack._adapters[version] = folder
    tuner = stack.gateway.client(stack.gateway.secrets["tuner"])
    result = {"worker": "w1", "status": "succeeded"}
    path = f"/internal/jobs/{lease['job']['id']}/finish"
    for _ in range(2):
        reply = await tuner.post(path, json=result)
        assert reply.status == 204, reply
    return version


async def judged(stack: ChatStack, job: str) -> dict[str, Any]:
    """Wait for what is said of a job's result."""
    found: dict[str, Any] = {}

    async def is_over() -> bool:
        body = (await stack.gateway.admin.get(f"{JOBS}/{job}")).body
        found.update(body["inkstone"] or {})
        return bool(found.get("state", "running") != "running")

    await eventually(is_over, seconds=PATIENCE)
    return found


async def told(stack: ChatStack, job: str) -> list[str]:
    events = (await stack.gateway.admin.get(f"{JOBS}/{job}/events?limit=100")).body["data"]
    return [event["message"] for event in reversed(events)]


async def test_a_better_model_is_to_be_adopted_and_may_then_be_rolled_out(
    stack: ChatStack,
) -> None:
    job, version = await trained(stack, better(30))
    said = await judged(stack, job)
    assert (said["state"], said["verdict"], said["cases"]) == ("done", "adopt", job)
    assert said["said"].startswith("Better than the base: 30 gained, 0 lost of 30; adopt it.")
    messages = await told(stack, job)
    assert messages[-2] == f"Comparing {version} with the base on the 30 cases of {job}"
    assert messages[-1] == said["said"]
    # The worker said twice that it is done; it is compared once, and its files are kept once.
    listed = (await stack.gateway.admin.get("/admin/evaluations")).body["data"]
    assert [(one["job"], one["adapter"]) for one in listed] == [(job, version)]
    body = (await stack.gateway.admin.get(f"{JOBS}/{job}")).body
    assert len(body["result_files"]) == 1
    (evidence,) = (await stack.gateway.admin.get(f"/admin/adapters/{version}")).body["evidence"]
    assert (evidence["evaluation"], evidence["verdict"]) == (said["id"], "adopt")
    await stack.bind(adapter=await stack.adapter("old"))
    assert (await begin(stack, version, 50, allow_without_evidence=False)).status == 201


async def test_a_model_that_is_no_better_is_not_to_be_adopted_and_is_not_rolled_out(
    stack: ChatStack,
) -> None:
    cases = [case(f"{n}", expected="old" if n < 20 else "new") for n in range(30)]
    job, version = await trained(stack, cases)
    said = await judged(stack, job)
    assert said["verdict"] == "reject" or "do not adopt it yet" in said["said"]
    assert "10 gained, 20 lost of 30; do not adopt it" in said["said"]
    await stack.bind(adapter=await stack.adapter("old"))
    refused = await begin(stack, version, 50, allow_without_evidence=False)
    assert (refused.status, refused.code) == (409, "evaluation_missing")


async def test_a_job_of_an_assistant_is_compared_with_what_it_serves_on_the_set_that_it_names(
    stack: ChatStack,
) -> None:
    await stack.bind(adapter=await stack.adapter("old"))
    await put(stack.gateway.admin, better(25))
    job, version = await trained(stack, model="support", evaluation="golden")
    said = await judged(stack, job)
    assert (said["verdict"], said["cases"]) == ("adopt", "golden")
    assert said["said"].startswith("Better than support/1: 25 gained")
    (found,) = (await stack.gateway.admin.get("/admin/evaluations")).body["data"]
    assert (found["baseline"], found["candidate"]) == ("support/1", "support/2")
    assert found["adapter"] == version


async def test_a_job_without_cases_says_that_nothing_was_compared(stack: ChatStack) -> None:
    job, _ = await trained(stack)
    said = await judged(stack, job)
    assert (said["id"], said["state"], said["verdict"]) == (None, "failed", None)
    assert "no rows were held out" in said["said"]
    assert "`evaluation`" in said["said"]


async def test_a_model_that_no_engine_can_serve_is_not_waited_for(stack: ChatStack) -> None:
    await stack.freeze()
    job, version = await trained(stack, better(20))
    agent = stack.agents[0]
    report = agent.report().model_dump(mode="json")
    report["adapters"][version] = {"state": "failed", "reason": "its shapes are wrong"}
    await stack.gateway.agent.post("/internal/replicas/heartbeat", json=report)
    said = await judged(stack, job)
    assert (said["state"], said["verdict"]) == ("failed", None)
    assert "its shapes are wrong" in said["said"]


async def test_a_comparison_goes_on_in_the_gateway_that_comes_next(
    tmp_path: Path, database_url: str | None
) -> None:
    settings = {**SETTINGS, "evaluations": {"look_seconds": 0.02, "lease_seconds": 1.0}}
    async with chat_stack(tmp_path, database_url=database_url, **settings) as stack:
        with stack.engine.holding():
            job, version = await trained(stack, better(20))
            await eventually(lambda: stack.engine.in_flight > 0, seconds=PATIENCE)
            folder = stack._adapters[version]
    async with chat_stack(tmp_path, database_url=database_url, **settings) as stack:
        stack.engine.reply = _marked
        stack._adapters[version] = folder
        assert (await judged(stack, job))["verdict"] == "adopt"


async def test_a_set_that_is_not_there_is_refused_at_once(stack: ChatStack) -> None:
    refused = await created(stack, evaluation="nowhere")
    assert (refused.status, refused.code) == (404, "evaluation_set_not_found")
    assert (await stack.gateway.admin.get(JOBS)).body["data"] == []


async def test_a_tenant_has_so_many_jobs_at_most_and_so_many_running(stack: ChatStack) -> None:
    file = await uploaded(stack)
    made = [(await created(stack, file=file)).body["id"] for _ in range(3)]
    refused = await created(stack, file=file)
    assert (refused.status, refused.code) == (429, "too_many_training_jobs")
    assert refused.headers["retry-after"] == "60"
    assert {(await claimed(stack))["job"]["id"] for _ in range(2)} <= set(made)
    assert await claimed(stack) is None
    # Another tenant's job does not wait for this one's.
    neighbour = stack.gateway.neighbour
    spec = json.dumps({"adapter": "theirs", "profile": None})
    form = {"file": json.dumps(ROW), "spec": spec}
    theirs = await neighbour.post("/admin/training-jobs", data=_form(form))
    assert theirs.status == 201, theirs
    assert (await claimed(stack))["job"]["tenant"] == "neighbour"


async def test_a_job_that_loses_worker_after_worker_fails_and_says_so(stack: ChatStack) -> None:
    job = (await created(stack)).body["id"]
    for _ in range(3):
        assert (await claimed(stack))["job"]["id"] == job
        async with stack.gateway.resources.registry.database.write() as connection:
            await connection.execute(tables.training_jobs.update().values(lease_until=0.0))
    assert await claimed(stack) is None
    body = (await stack.gateway.admin.get(f"{JOBS}/{job}")).body
    assert (body["status"], body["error"]["code"]) == ("failed", "workers_lost")
    assert (await told(stack, job))[-1].startswith("The job is failed: 3 workers fell silent")


async def test_a_worker_may_ask_for_one_job_only(stack: ChatStack) -> None:
    file = await uploaded(stack)
    first, second = [(await created(stack, file=file)).body["id"] for _ in range(2)]
    assert (await claimed(stack, job=second))["job"]["id"] == second
    assert await claimed(stack, job=second) is None
    assert (await claimed(stack))["job"]["id"] == first


def _form(fields: dict[str, str]) -> Any:
    import aiohttp

    form = aiohttp.FormData()
    form.add_field("file", fields["file"].encode(), filename="rows.jsonl")
    form.add_field("spec", fields["spec"])
    return form
