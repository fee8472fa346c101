"""Jobs and their workers: what is asked as one stops, what counts against a job, what is left."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.chassis.artifacts import ArtifactStore
from services.gateway.registry import tables
from tests.fakes.adapters import write_adapter
from tests.service.gateway.gateway import GatewayUnderTest, Reply, gateway_under_test

pytestmark = pytest.mark.anyio

JOBS = "/v1/fine_tuning/jobs"


@pytest.fixture
async def gateway(tmp_path: Path, database_url: str | None) -> AsyncIterator[GatewayUnderTest]:
    async with gateway_under_test(tmp_path, database_url=database_url) as running:
        yield running


async def queued(gateway: GatewayUnderTest) -> str:
    form = aiohttp.FormData()
    form.add_field("file", b'{"messages": []}\n', filename="rows.jsonl")
    form.add_field("spec", json.dumps({"adapter": "tiny", "profile": None}))
    reply = await gateway.admin.post("/admin/training-jobs", data=form)
    assert reply.status == 201, reply.body
    return str(reply.body["id"])


async def told(gateway: GatewayUnderTest, path: str, **body: Any) -> Reply:
    tuner = gateway.client(gateway.secrets["tuner"])
    return await tuner.post(f"/internal/jobs/{path}", json={"worker": "w1", **body})


async def claimed(gateway: GatewayUnderTest, worker: str = "w1") -> Any:
    return (await told(gateway, "claim", worker=worker)).body


async def stopped(gateway: GatewayUnderTest, job: str, status: str = "paused") -> Reply:
    return await told(gateway, f"{job}/finish", status=status, error="stopped")


async def steer(gateway: GatewayUnderTest, job: str, action: str) -> None:
    reply = await gateway.admin.post(f"{JOBS}/{job}/{action}")
    assert reply.status == 200, reply.body


async def state(gateway: GatewayUnderTest, job: str) -> Any:
    return (await gateway.admin.get(f"/admin/training-jobs/{job}")).body


async def lapse(gateway: GatewayUnderTest) -> None:
    """Let every worker have been silent for too long."""
    async with gateway.resources.registry.database.write() as connection:
        await connection.execute(tables.training_jobs.update().values(lease_until=0.0))


def stored(gateway: GatewayUnderTest, job: str) -> Path:
    """Where the files of a job lie."""
    return Path(gateway.settings.artifact_store_url.removeprefix("file://")) / "jobs" / job


async def test_a_job_that_is_cancelled_while_its_worker_pauses_it_is_cancelled(
    gateway: GatewayUnderTest,
) -> None:
    job = await queued(gateway)
    await claimed(gateway)
    await steer(gateway, job, "pause")
    assert (await told(gateway, f"{job}/renew")).body["pause_requested"]
    await steer(gateway, job, "cancel")
    assert (await stopped(gateway, job)).status == 204
    ended = await state(gateway, job)
    assert (ended["status"], ended["error"]) == ("cancelled", None)
    assert ended["finished_at"] is not None
    assert not stored(gateway, job).exists()
    assert (await stopped(gateway, job)).status == 204
    assert (await state(gateway, job))["version"] == ended["version"]


async def test_a_job_that_is_resumed_while_its_worker_pauses_it_goes_on(
    gateway: GatewayUnderTest,
) -> None:
    job = await queued(gateway)
    await claimed(gateway)
    await steer(gateway, job, "pause")
    assert (await told(gateway, f"{job}/renew")).body["pause_requested"]
    await steer(gateway, job, "resume")
    for _ in range(2):
        assert (await stopped(gateway, job)).status == 204
    waiting = await state(gateway, job)
    assert (waiting["status"], waiting["finished_at"], waiting["error"]) == ("queued", None, None)
    assert (await claimed(gateway))["job"]["id"] == job


async def test_a_job_that_is_paused_stays_paused(gateway: GatewayUnderTest) -> None:
    job = await queued(gateway)
    await claimed(gateway)
    await steer(gateway, job, "pause")
    assert (await stopped(gateway, job)).status == 204
    assert (await state(gateway, job))["status"] == "paused"
    assert await claimed(gateway) is None
    assert stored(gateway, job).exists()


async def test_a_job_that_a_worker_gives_back_is_another_s_at_once(
    gateway: GatewayUnderTest,
) -> None:
    job = await queued(gateway)
    await claimed(gateway)
    assert (await stopped(gateway, job)).status == 204
    assert (await claimed(gateway, "w2"))["job"]["id"] == job
    # The first worker has nothing more to say.
    assert (await stopped(gateway, job)).code == "lease_lost"


async def test_only_silence_counts_against_a_job(gateway: GatewayUnderTest) -> None:
    job = await queued(gateway)
    for _ in range(4):
        assert (await claimed(gateway))["job"]["id"] == job
        await stopped(gateway, job)
        assert (await claimed(gateway))["job"]["id"] == job
        await steer(gateway, job, "pause")
        await stopped(gateway, job)
        await steer(gateway, job, "resume")
    for _ in range(3):
        assert (await claimed(gateway))["job"]["id"] == job
        await lapse(gateway)
    assert await claimed(gateway) is None
    failed = await state(gateway, job)
    assert (failed["status"], failed["error_code"]) == ("failed", "workers_lost")
    assert failed["error"].startswith("3 workers fell silent")
    assert not stored(gateway, job).exists()


async def test_a_job_that_gets_further_each_time_does_not_fail_of_silent_workers(
    gateway: GatewayUnderTest,
) -> None:
    job = await queued(gateway)
    for step in range(1, 6):
        assert (await claimed(gateway))["job"]["id"] == job
        await told(gateway, f"{job}/renew", progress={"step": step, "of": 9})
        await lapse(gateway)
    # From here on it gets no further.
    for _ in range(2):
        assert (await claimed(gateway))["job"]["id"] == job
        await lapse(gateway)
    assert await claimed(gateway) is None
    assert (await state(gateway, job))["status"] == "failed"
    events = (await gateway.admin.get(f"{JOBS}/{job}/events?limit=100")).body["data"]
    said = [event["message"] for event in events if "worker fell silent" in event["message"]]
    assert said[-1] == "The worker fell silent at step 1"
    assert len(said) == 6


@pytest.mark.parametrize("status", ["failed", "cancelled", "succeeded"])
async def test_what_a_job_left_in_the_store_goes_when_it_ends(
    gateway: GatewayUnderTest, tmp_path: Path, status: str
) -> None:
    job = await queued(gateway)
    lease = await claimed(gateway)
    if status == "succeeded":
        store = ArtifactStore(gateway.settings.artifact_store_url)
        await store.put_folder(lease["output_key"], write_adapter(tmp_path / "made", "tiny"))
    assert stored(gateway, job).exists()
    # A worker that did not hear the answer says it again.
    for _ in range(2):
        assert (await stopped(gateway, job, status)).status == 204
    assert (await state(gateway, job))["status"] == status
    assert not stored(gateway, job).exists()


async def test_a_waiting_job_that_is_cancelled_leaves_nothing(gateway: GatewayUnderTest) -> None:
    job = await queued(gateway)
    await steer(gateway, job, "cancel")
    assert not stored(gateway, job).exists()


async def test_a_worker_is_told_which_jobs_are_over(gateway: GatewayUnderTest) -> None:
    over, paused, running = [await queued(gateway) for _ in range(3)]
    await steer(gateway, over, "cancel")
    await steer(gateway, paused, "pause")
    assert (await claimed(gateway))["job"]["id"] == running
    asked = [running, over, "job_of_nobody", paused]
    assert (await told(gateway, "over", jobs=asked)).body == {"jobs": [over, "job_of_nobody"]}
    refused = await gateway.admin.post("/internal/jobs/over", json={"jobs": []})
    assert refused.status == 403
