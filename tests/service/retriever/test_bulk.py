"""A corpus in shards: each by a process of its own, beside the retrievers that serve."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from services.retriever.bulk.__main__ import (
    INDEX_VARIABLE,
    REFUSED,
    STOPPED,
    UNUSABLE,
    ingest,
    parse,
    run,
)
from services.retriever.bulk.source import Shard, Source
from services.retriever.settings import Jobs
from tests import postgres
from tests.fakes.hashing_embedder import HashingEmbedder
from tests.service.retriever.ingesting import stored
from tests.service.retriever.retriever import Client, Stores, retriever_on, settings_for
from tests.service.retriever.test_crashes import finished

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not postgres.AVAILABLE, reason="there is no Postgres here"),
]

SHARDS = 3
DEADLINE_SECONDS = 120


def corpus(folder: Path, files: int = 30) -> set[str]:
    """A folder of files, one of them in a hidden folder and one of another kind."""
    ids = set()
    for n in range(files):
        below = folder / ("안내" if n % 2 else "notes")
        below.mkdir(parents=True, exist_ok=True)
        (below / f"파일{n}.md").write_text(f"# 사과 {n}\n\n" + f"apple number {n} " * 30)
        ids.add(f"{below.name}:파일{n}.md")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "no.md").write_text("no")
    (folder / "picture.png").write_bytes(b"no")
    return ids


def arguments(folder: Path, shard: int, of: int = SHARDS) -> list[str]:
    source = ["--source", f"file://{folder}", "--tenant", "acme", "--collection", "docs"]
    return [*source, "--shard", str(shard), "--of", str(of)]


def parsed(folder: Path, shard: int, of: int = SHARDS) -> argparse.Namespace:
    return parse(arguments(folder, shard, of))


async def all_shards(shared: Stores, tmp_path: Path, folder: Path) -> list[int]:
    """Ingest every shard at once, each as a process would."""
    return await asyncio.gather(
        *(
            ingest(
                settings_for(tmp_path / f"shard{shard}", **shared.settings),
                parsed(folder, shard),
                HashingEmbedder(),
            )
            for shard in range(SHARDS)
        )
    )


async def outcomes(stores: Stores, folder: Path) -> dict[str, str]:
    """What became of each document in the jobs, by id; twice the same is an error."""
    found: dict[str, str] = {}
    async with retriever_on(folder, **stores.settings) as retriever:
        jobs = retriever.resources.intake.jobs
        page, _ = await jobs.page("acme", "docs", limit=100, after=None)
        for job in page:
            items, _ = await jobs.items("acme", job.id, state=None, limit=1000, after=-1)
            for item in items:
                assert item.document_id not in found
                found[item.document_id] = item.state
    return found


async def test_every_document_is_ingested_by_one_shard(shared: Stores, tmp_path: Path) -> None:
    folder = tmp_path / "말뭉치"
    ids = corpus(folder)
    assert await all_shards(shared, tmp_path, folder) == [0] * SHARDS
    assert await outcomes(shared, tmp_path / "looks") == dict.fromkeys(ids, "created")
    async with retriever_on(tmp_path / "serves", **shared.settings) as retriever:
        assert set(await stored(retriever.client)) == ids
        assert len(await finished(retriever)) == len(ids)
        found = await retriever.client.search("사과 7", mode="lexical")
        assert found.body["data"][0]["uri"] == "안내/파일7.md"


async def test_a_second_run_stores_nothing_and_a_changed_file_again(
    shared: Stores, tmp_path: Path
) -> None:
    folder = tmp_path / "corpus"
    ids = corpus(folder, files=8)
    await all_shards(shared, tmp_path, folder)
    changed = folder / "안내" / "파일3.md"
    changed.write_text("# 배\n\npear")
    async with retriever_on(tmp_path / "serves", **shared.settings) as retriever:
        before = await finished(retriever)
        assert await all_shards(shared, tmp_path, folder) == [0] * SHARDS
        after = await finished(retriever)
        assert len(before.keys() & after.keys()) == len(ids) - 1
        assert (await retriever.client.search("pear", mode="lexical")).status == 200


async def test_files_that_are_refused_are_told_by_the_exit_status(
    shared: Stores, tmp_path: Path
) -> None:
    folder = tmp_path / "corpus"
    ids = corpus(folder, files=4)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    statuses = await all_shards(shared, tmp_path, folder)
    assert sorted(statuses) == [0] * (SHARDS - 1) + [REFUSED]
    async with retriever_on(tmp_path / "serves", **shared.settings) as retriever:
        assert set(await stored(retriever.client)) == ids


async def test_a_killed_shard_is_done_by_its_successor_and_a_stopped_one_says_so(
    shared: Stores, tmp_path: Path
) -> None:
    folder = tmp_path / "corpus"
    ids = corpus(folder, files=20)
    serves = tmp_path / "serves"
    async with retriever_on(serves, jobs=Jobs(concurrent=0), **shared.settings) as retriever:
        for sent, status in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, STOPPED)):
            former, _ = await newest_job(retriever.client)
            shard = await start(shared, tmp_path, folder, hangs_after=6)
            async with asyncio.timeout(DEADLINE_SECONDS):
                while (job := await newest_job(retriever.client))[0] == former or not job[1]:
                    assert shard.returncode is None
                    await asyncio.sleep(0.02)
                os.kill(shard.pid, sent)
                assert await shard.wait() == status
        last = await start(shared, tmp_path, folder)
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await last.wait() == 0
        assert set(await stored(retriever.client)) == ids
        assert len(await finished(retriever)) == len(ids)
        jobs = (await retriever.client.call("GET", "/ingestions")).body["data"]
        assert [job["status"] for job in jobs] == ["succeeded", "cancelled", "cancelled"]


async def newest_job(client: Client) -> tuple[str, int]:
    """The id of the newest job, and how many documents it has stored."""
    jobs = (await client.call("GET", "/ingestions", limit="1")).body["data"]
    return (jobs[0]["id"], jobs[0]["progress"]["created"]) if jobs else ("", 0)


async def start(
    shared: Stores, tmp_path: Path, folder: Path, hangs_after: int = 0
) -> asyncio.subprocess.Process:
    """Start the only shard of a corpus as a process, which may hang after so many texts."""
    module = "tests.service.retriever.bulk_process"
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        str(tmp_path / "shard"),
        *shared.arguments[1:],
        str(hangs_after),
        *arguments(folder, 0, of=1),
    )


async def test_what_cannot_begin_says_so(shared: Stores, tmp_path: Path) -> None:
    nowhere = parsed(tmp_path / "nowhere", 0)
    settings = settings_for(tmp_path / "shard", **shared.settings)
    assert await ingest(settings, nowhere, HashingEmbedder()) == UNUSABLE
    assert run(settings_for(tmp_path / "alone"), nowhere) == UNUSABLE


def test_every_document_is_of_exactly_one_shard(tmp_path: Path) -> None:
    ids = corpus(tmp_path / "corpus", files=40)
    source = Source(f"file://{tmp_path}/corpus")
    parts = [{file.id for file in source.files(Shard(n, 4))} for n in range(4)]
    assert set().union(*parts) == ids
    assert sum(map(len, parts)) == len(ids)
    assert all(len(part) >= 3 for part in parts)


def test_a_pod_of_an_indexed_job_knows_its_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(INDEX_VARIABLE, "2")
    given = arguments(tmp_path, 0)
    given.remove("--shard")
    given.remove("0")
    assert parse(given).shard == 2


@pytest.mark.parametrize(("shard", "of"), [(3, 3), (-1, 3), (0, 0)])
def test_a_shard_that_there_is_not_is_refused(tmp_path: Path, shard: int, of: int) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments(tmp_path, shard, of))
    assert ended.value.code == 2
