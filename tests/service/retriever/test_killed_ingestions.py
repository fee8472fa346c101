"""Ingestion jobs of a process that is killed: nothing acknowledged is lost, nothing is doubled."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from services.contracts.ingestion import IngestionOptions
from services.retriever.catalogue.job_records import NewItem, NewJob
from services.retriever.catalogue.jobs import Jobs as JobRows
from services.retriever.catalogue.leases import LeaseLostError, Leases
from services.retriever.catalogue.opening import open_database
from services.retriever.settings import Jobs
from tests.ports import free_port
from tests.service.retriever.ingesting import (
    ended,
    ingest,
    manifest,
    send,
    start_sync,
    stored,
    synced,
)
from tests.service.retriever.process import retriever_process
from tests.service.retriever.retriever import Client, retriever_on
from tests.service.retriever.test_crashes import finished, word

pytestmark = pytest.mark.anyio

FILES_A_JOB = 12


@dataclass(slots=True)
class Campaign:
    """What was acknowledged before the kills."""

    jobs: list[str] = field(default_factory=list)
    documents: set[str] = field(default_factory=set)
    """Documents of jobs that were acknowledged."""
    folder: dict[str, bytes] = field(default_factory=dict)
    """What the folder held when its last sync was acknowledged with all its bytes."""


def content(name: str) -> bytes:
    """A file of four chunks with a word of its own."""
    parts = "\n\n".join(f"# Part {n}\n\n" + f"apple{n} " * 40 for n in range(3))
    return (f"{word(name)} " + "pear " * 30 + f"\n\n{parts}").encode()


@pytest.mark.parametrize("rounds", [2, pytest.param(25, marks=pytest.mark.long)])
async def test_a_retriever_killed_during_its_jobs_loses_and_doubles_nothing(
    tmp_path: Path, rounds: int, record_property: Callable[[str, object], None]
) -> None:
    campaign, chance = Campaign(), random.Random(7)
    async with aiohttp.ClientSession() as session:
        for round_ in range(rounds):
            async with retriever_process(tmp_path, free_port(), session) as (process, client):
                asking = asyncio.create_task(keep_asking(client, round_, campaign))
                while len(campaign.jobs) <= round_:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(chance.uniform(0.0, 1.5))
                os.kill(process.pid, signal.SIGKILL)
                await asking
    async with retriever_on(tmp_path, jobs=Jobs(lease_seconds=1.0)) as retriever:
        client = retriever.client
        for id_ in campaign.jobs:
            job = await ended(client, id_)
            assert (job["status"], job["progress"]["failed"]) == ("succeeded", 0)
            assert job["progress"]["total"] == FILES_A_JOB
        await synced(client, campaign.folder, remove_at_most=1000)
        expected = await finished(retriever)
        names = await stored(client)
        # A job whose acknowledgement was on its way when the process died may be there as well.
        assert campaign.documents | campaign.folder.keys() <= set(names)
        assert len(names) == len(set(names)) == len(expected)
        assert set(expected.values()) == {4}
        for name in sorted(campaign.documents)[:20]:
            found = await client.search(word(name), mode="lexical", top_k=50)
            assert len(found.passages) == 1
        rebuilt = 'inkstone_documents_total{outcome="rebuilt"}'
        assert await client.metric(rebuilt) == 0
        await retriever.resources.intake.workers.tidy()
        assert not any((tmp_path / "spool").iterdir())
    record_property("kills", rounds)
    record_property("jobs", len(campaign.jobs))
    record_property("documents", len(names))


async def keep_asking(client: Client, round_: int, campaign: Campaign) -> None:
    """Start one job after the other, and syncs that remove, until the process is gone."""
    number = 0
    while True:
        names = [f"r{round_}j{number}f{n}.txt" for n in range(FILES_A_JOB)]
        folder = {f"s{round_}n{number}.txt": content(f"s{round_}n{number}.txt")}
        try:
            started = await ingest(client, [(name, content(name)) for name in names])
            assert started.status == 202, started.body
            campaign.jobs.append(started.body["id"])
            campaign.documents.update(names)
            sync = await start_sync(client, folder, remove_at_most=1000)
            sent = await send(client, sync.body["id"], folder)
            assert sent.status == 200, sent.body
            campaign.folder = folder
            await ended(client, started.body["id"])
        except aiohttp.ClientError:
            return
        number += 1


async def test_a_sync_that_a_kill_cut_short_is_ended_by_the_next(tmp_path: Path) -> None:
    folder = {"a.txt": b"apple", "b.txt": b"pear"}
    async with aiohttp.ClientSession() as session:
        async with retriever_process(tmp_path, free_port(), session) as (process, client):
            started = await start_sync(client, folder)
            await send(client, started.body["id"], {"a.txt": b"apple"})
            os.kill(process.pid, signal.SIGKILL)
    async with retriever_on(tmp_path) as retriever:
        client = retriever.client
        again = await synced(client, folder, remove_at_most=0)
        assert again["status"] == "succeeded"
        assert await stored(client) == ["a.txt", "b.txt"]
        plan = await client.call("POST", "/collections/docs/ingestions/plan", manifest(folder))
        assert (plan.body["changed"], plan.body["unchanged"]) == (0, 2)


async def test_a_job_goes_to_one_worker_at_a_time_and_on_when_its_lease_runs_out(
    tmp_path: Path,
) -> None:
    async with open_database(f"sqlite:///{tmp_path}/catalogue.sqlite3") as database:
        items = [NewItem("a.txt", "waiting", segment="s", bytes=1)]
        job = NewJob("acme", "docs", IngestionOptions(), items, time.time())
        await JobRows(database).create(job, 10)
        leases = Leases(database, lease_seconds=0.3)
        first = await leases.claim("one")
        assert first is not None
        assert await leases.claim("two") is None
        assert await leases.renew(first)
        async with asyncio.timeout(10):
            while (second := await leases.claim("two")) is None:
                await asyncio.sleep(0.02)
        with pytest.raises(LeaseLostError):
            await leases.settle_alone(first, [], 0.0)
        await leases.release(first)
        assert await leases.renew(second)
