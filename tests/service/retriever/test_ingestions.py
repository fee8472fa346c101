"""Ingestion jobs over HTTP, through the real parsing child and index."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from services.chassis.errors import Unavailable
from services.retriever.catalogue.opening import open_database
from services.retriever.catalogue.versions import STEPS, CatalogueTooNewError
from services.retriever.settings import Jobs
from tests.service.retriever.ingesting import (
    DEADLINE_SECONDS,
    act,
    ended,
    ingest,
    items,
    reached,
    send,
    start_sync,
    stored,
    synced,
)
from tests.service.retriever.retriever import Client, RetrieverUnderTest, retriever_on

pytestmark = pytest.mark.anyio


def spooled(folder: Path) -> list[Path]:
    """The segments on disk."""
    return [*(folder / "spool").iterdir()] if (folder / "spool").exists() else []


async def test_files_are_taken_in_at_once_and_become_documents(client: Client) -> None:
    started = await ingest(
        client,
        [
            ("반품 안내.md", "# 반품 안내\n\n14일 이내에 반품할 수 있습니다.".encode()),
            ("folder/notes.txt", b"The warranty lasts two years."),
        ],
        id_prefix="2024: ",
    )
    assert (started.status, started.body["progress"]["total"]) == (202, 2)
    job = await ended(client, started.body["id"])
    assert job["status"] == "succeeded"
    assert (job["progress"]["created"], job["progress"]["chunks"]) == (2, 2)
    assert job["finished_at"] is not None
    assert await stored(client) == ["2024: notes.txt", "2024: 반품 안내.md"]
    found = await client.search("반품 14일", mode="lexical")
    assert found.body["data"][0]["title"].endswith("반품 안내")


async def test_the_same_files_again_cost_nothing(
    client: Client, shared_retriever: RetrieverUnderTest
) -> None:
    files = [("a.txt", b"apple"), ("b.txt", b"pear")]
    await ended(client, (await ingest(client, files)).body["id"])
    embedded = len(shared_retriever.embedder.embedded)
    again = await ingest(client, [files[0], ("b.txt", b"pear tree")])
    progress = (await ended(client, again.body["id"]))["progress"]
    assert (progress["unchanged"], progress["replaced"], progress["chunks"]) == (1, 1, 1)
    assert len(shared_retriever.embedder.embedded) == embedded + 1
    assert (await client.search("pear")).passages == ["pear tree", "apple"]


async def test_a_bad_file_fails_alone_with_its_reason(client: Client) -> None:
    files = [
        ("empty.txt", b"  \n"),
        ("good.txt", b"apple"),
        ("broken.pdf", b"%PDF-1.7\nnothing else"),
        ("good.txt", b"pear"),
        ("x" * 300, b"apple"),
    ]
    started = await ingest(client, files)
    job = await ended(client, started.body["id"])
    assert job["status"] == "failed"
    assert (job["progress"]["created"], job["progress"]["failed"]) == (1, 4)
    failed = await items(client, job["id"], state="failed")
    assert [item["code"] for item in failed] == [
        "file_empty",
        "file_unreadable",
        "file_name_repeated",
        "file_name_invalid",
    ]
    assert all(item["message"].endswith(".") for item in failed)
    assert [item["number"] for item in await items(client, job["id"], after="1")] == [2, 3, 4]


async def test_documents_get_the_groups_and_the_metadata_of_the_job(client: Client) -> None:
    options = {"allowed_groups": ["staff"], "metadata": {"year": 2024}}
    started = await ingest(client, [("a.txt", b"apple")], options=options)
    await ended(client, started.body["id"])
    assert (await client.search("apple")).passages == []
    year = {"type": "eq", "key": "year", "value": 2024}
    staff = client.in_groups("staff")
    assert (await staff.search("apple", filter=year)).passages == ["apple"]


async def test_a_job_is_its_tenants_alone(client: Client) -> None:
    started = await ingest(client, [("a.txt", b"apple")])
    path = f"/ingestions/{started.body['id']}"
    stranger = client.neighbour
    for method, where in (
        ("GET", path),
        ("GET", f"{path}/items"),
        ("POST", f"{path}/pause"),
        ("POST", f"{path}/cancel"),
        ("POST", f"{path}/retry"),
    ):
        assert (await stranger.call(method, where)).code == "ingestion_not_found"
    sent = await send(stranger, started.body["id"], {"a.txt": b"poison"})
    assert sent.code == "ingestion_not_found"
    assert (await stranger.call("GET", "/ingestions")).body["data"] == []
    listed = (await client.call("GET", "/ingestions", collection="docs")).body["data"]
    assert [job["id"] for job in listed] == [started.body["id"]]


async def test_jobs_are_listed_newest_first_page_by_page(client: Client) -> None:
    ids = [(await ingest(client, [(f"{n}.txt", b"apple")])).body["id"] for n in range(3)]
    first = (await client.call("GET", "/ingestions", limit="2")).body
    assert ([job["id"] for job in first["data"]], first["has_more"]) == (ids[:0:-1], True)
    rest = (await client.call("GET", "/ingestions", after=ids[1])).body
    assert ([job["id"] for job in rest["data"]], rest["has_more"]) == ([ids[0]], False)


async def test_a_paused_job_rests_until_it_is_resumed(tmp_path: Path) -> None:
    jobs = Jobs(batch_files=2, batch_chunks=2)
    async with retriever_on(tmp_path, jobs=jobs) as retriever:
        client, embedder = retriever.client, retriever.embedder
        embedder.passages_may_go.clear()
        files = [(f"{n}.txt", f"apple {n}".encode()) for n in range(20)]
        id_ = (await ingest(client, files)).body["id"]
        await reached(client, id_, "running")
        assert (await act(client, id_, "pause")).body["status"] == "paused"
        embedder.passages_may_go.set()
        async with asyncio.timeout(DEADLINE_SECONDS):
            while await retriever.resources.intake.workers.leases.claim("another") is not None:
                await asyncio.sleep(0.02)
        rested = (await client.call("GET", f"/ingestions/{id_}")).body
        assert rested["status"] == "paused"
        assert rested["progress"]["waiting"] >= 14
        assert (await act(client, id_, "resume")).body["status"] in ("queued", "running")
        job = await ended(client, id_)
        assert (job["status"], job["progress"]["created"]) == ("succeeded", 20)
        assert (await act(client, id_, "pause")).code == "ingestion_finished"


async def test_a_cancelled_job_keeps_what_was_done_and_leaves_out_the_rest(tmp_path: Path) -> None:
    async with retriever_on(tmp_path, jobs=Jobs(batch_files=2, batch_chunks=2)) as retriever:
        client, embedder = retriever.client, retriever.embedder
        embedder.passages_may_go.clear()
        files = [(f"{n}.txt", f"apple {n}".encode()) for n in range(20)]
        id_ = (await ingest(client, files)).body["id"]
        await reached(client, id_, "running")
        assert (await act(client, id_, "cancel")).body["status"] == "cancelled"
        assert (await act(client, id_, "cancel")).body["status"] == "cancelled"
        assert (await act(client, id_, "retry")).code == "ingestion_finished"
        embedder.passages_may_go.set()
        other = await ingest(client, [("z.txt", b"pear")])
        assert (await ended(client, other.body["id"]))["status"] == "succeeded"
        async with asyncio.timeout(DEADLINE_SECONDS):
            while spooled(tmp_path):
                await retriever.resources.intake.workers.tidy()
                await asyncio.sleep(0.02)
        progress = (await client.call("GET", f"/ingestions/{id_}")).body["progress"]
        assert progress["cancelled"] >= 10
        assert progress["cancelled"] + progress["created"] == 20
        assert len(await stored(client)) == progress["created"] + 1


async def test_failed_files_are_tried_again_and_only_those(tmp_path: Path) -> None:
    async with retriever_on(tmp_path) as retriever:
        client, embedder = retriever.client, retriever.embedder
        embedder.failure = RuntimeError("a bug in the model")
        id_ = (await ingest(client, [("a.txt", b"apple"), ("b.txt", b"pear")])).body["id"]
        job = await ended(client, id_)
        assert (job["status"], job["progress"]["failed"]) == ("failed", 2)
        assert {item["code"] for item in await items(client, id_)} == {"internal_error"}
        assert await stored(client) == []
        embedder.failure = None
        await retriever.resources.intake.workers.tidy()
        assert (await act(client, id_, "retry")).status == 200
        job = await ended(client, id_)
        assert (job["status"], job["progress"]["created"]) == ("succeeded", 2)
        assert (await act(client, id_, "retry")).code == "ingestion_finished"
        await retriever.resources.intake.workers.tidy()
        assert spooled(tmp_path) == []


async def test_a_job_waits_for_a_model_that_cannot_answer_now(tmp_path: Path) -> None:
    async with retriever_on(tmp_path) as retriever:
        client, embedder = retriever.client, retriever.embedder
        embedder.failure = Unavailable("The model broke.")
        id_ = (await ingest(client, [("a.txt", b"apple")])).body["id"]
        failed = 'inkstone_files_total{outcome="failed"}'
        await reached(client, id_, "running")
        await reached(client, id_, "queued")
        embedder.failure = None
        assert (await ended(client, id_))["progress"]["created"] == 1
        assert await client.metric(failed) == 0


async def test_a_poisoned_document_fails_alone_in_its_batch(tmp_path: Path) -> None:
    async with retriever_on(tmp_path) as retriever:
        client, embedder = retriever.client, retriever.embedder
        embedder.poison = "poison"
        files = [("a.txt", b"apple"), ("b.txt", b"poison"), ("c.txt", b"pear")]
        job = await ended(client, (await ingest(client, files)).body["id"])
        assert (job["progress"]["created"], job["progress"]["failed"]) == (2, 1)
        assert await stored(client) == ["a.txt", "c.txt"]


async def test_several_documents_share_a_pass_of_the_model(tmp_path: Path) -> None:
    async with retriever_on(tmp_path) as retriever:
        files = [(f"{n}.txt", f"apple {n}".encode()) for n in range(64)]
        await ended(retriever.client, (await ingest(retriever.client, files)).body["id"])
        assert max(retriever.embedder.passes) == 64
        assert sum(retriever.embedder.passes) == 64


async def test_bytes_beyond_the_spool_are_told_to_come_back(tmp_path: Path) -> None:
    async with retriever_on(tmp_path, jobs=Jobs(max_spooled_bytes=4096)) as retriever:
        client = retriever.client
        retriever.embedder.passages_may_go.clear()
        first = await ingest(client, [("a.txt", b"apple " * 500)])
        assert first.status == 202
        refused = await ingest(client, [("b.txt", b"pear " * 500)])
        assert (refused.status, refused.code) == (429, "spool_full")
        retriever.embedder.passages_may_go.set()
        await ended(client, first.body["id"])
        await retriever.resources.intake.workers.tidy()
        assert (await ingest(client, [("b.txt", b"pear " * 500)])).status == 202


async def test_limits_are_told_by_their_codes(tmp_path: Path) -> None:
    jobs = Jobs(max_open=1, max_files=2, max_upload_files=3)
    async with retriever_on(tmp_path, jobs=jobs) as retriever:
        client = retriever.client
        many = [(f"{n}.txt", b"apple") for n in range(3)]
        assert (await ingest(client, many)).code == "manifest_too_large"
        assert (await start_sync(client, dict(many))).code == "manifest_too_large"
        assert (await ingest(client, [*many, ("more", b"x")])).status == 400
        assert (await ingest(client, [], id_prefix="x")).status == 400
        assert (await start_sync(client, dict(many[:1]))).status == 202
        assert (await ingest(client, many[:1])).code == "too_many_ingestions"
        assert (await ingest(client.neighbour, many[:1])).status == 202


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"files": []},
        {"source": "disk", "files": [{"id": "a", "sha256": "short", "bytes": 1}]},
        {"source": "disk", "files": [], "metadata": {"x": {}}},
        {"source": "disk", "files": [], "odd": 1},
    ],
)
async def test_a_malformed_manifest_is_a_400(client: Client, body: object) -> None:
    refused = await client.call("POST", "/collections/docs/ingestions", body)
    assert (refused.status, refused.code) == (400, "invalid_request")


async def test_a_collection_deleted_during_a_job_stays_deleted(tmp_path: Path) -> None:
    async with retriever_on(tmp_path, jobs=Jobs(batch_files=2, batch_chunks=2)) as retriever:
        client, embedder = retriever.client, retriever.embedder
        await client.put("a", "apple")
        embedder.passages_may_go.clear()
        files = [(f"{n}.txt", f"apple {n}".encode()) for n in range(20)]
        id_ = (await ingest(client, files)).body["id"]
        while not await retriever.resources.catalogue.writes.unfinished():
            await asyncio.sleep(0.01)
        await client.call("DELETE", "/collections/docs")
        embedder.passages_may_go.set()
        await synced(client.neighbour, {"b": b"pear"})
        assert (await ended(client, id_))["status"] == "cancelled"
        assert (await client.call("GET", "/collections")).body["data"] == []


async def test_one_tenants_large_job_does_not_hold_up_anothers(tmp_path: Path) -> None:
    jobs = Jobs(concurrent=1, batch_files=1, batch_chunks=1, slice_seconds=0.01)
    async with retriever_on(tmp_path, jobs=jobs) as retriever:
        client = retriever.client
        files = [(f"{n}.txt", f"apple {n}".encode()) for n in range(300)]
        large = (await ingest(client, files)).body["id"]
        small = (await ingest(client.neighbour, files[:1])).body["id"]
        await ended(client.neighbour, small)
        progress = (await client.call("GET", f"/ingestions/{large}")).body["progress"]
        assert progress["created"] < 300
        assert (await ended(client, large))["progress"]["created"] == 300


async def test_jobs_that_ended_long_ago_are_forgotten(tmp_path: Path) -> None:
    async with retriever_on(tmp_path, jobs=Jobs(keep_finished_seconds=0)) as retriever:
        client = retriever.client
        id_ = (await ingest(client, [("a.txt", b"apple"), ("b", b"")])).body["id"]
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (await client.call("GET", f"/ingestions/{id_}")).status == 200:
                await retriever.resources.intake.workers.tidy()
                await asyncio.sleep(0.05)
        await retriever.resources.intake.workers.tidy()
        assert spooled(tmp_path) == []
        assert await stored(client) == ["a.txt"]


async def test_failed_files_are_kept_up_to_a_limit(tmp_path: Path) -> None:
    async with retriever_on(tmp_path, jobs=Jobs(max_failed_bytes=4)) as retriever:
        client = retriever.client
        id_ = (await ingest(client, [("a.pdf", b"%PDF-1.7")])).body["id"]
        await ended(client, id_)
        await retriever.resources.intake.workers.tidy()
        assert spooled(tmp_path) == []
        await act(client, id_, "retry")
        await ended(client, id_)
        assert [item["code"] for item in await items(client, id_)] == ["file_gone"]


async def test_an_older_catalogue_gets_the_tables_that_it_lacks(tmp_path: Path) -> None:
    async with retriever_on(tmp_path) as former:
        await former.client.put("d", "apple")
    with sqlite3.connect(tmp_path / "catalogue.sqlite3") as older:
        for table in ("job_items", "jobs", "origins", "generations", "carried", "members"):
            older.execute(f"DROP TABLE {table}")
        older.execute("ALTER TABLE writes DROP COLUMN member")
        older.execute("PRAGMA user_version = 0")
    async with retriever_on(tmp_path) as retriever:
        assert (await retriever.client.search("apple")).passages == ["apple"]
        started = await ingest(retriever.client, [("a.txt", b"apple pie")])
        assert (await ended(retriever.client, started.body["id"]))["status"] == "succeeded"
    with sqlite3.connect(tmp_path / "catalogue.sqlite3") as newer:
        assert newer.execute("PRAGMA user_version").fetchone() == (len(STEPS),)


async def test_a_catalogue_of_a_later_release_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "catalogue.sqlite3") as later:
        later.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    with pytest.raises(CatalogueTooNewError, match="run the release"):
        async with open_database(f"sqlite:///{tmp_path}/catalogue.sqlite3"):
            pass


async def test_metrics_say_what_waits_and_for_how_long(tmp_path: Path) -> None:
    async def told() -> tuple[float, float]:
        async with retriever_on(tmp_path, jobs=Jobs(concurrent=0)) as retriever:
            names = ("inkstone_ingestion_waiting_files", "inkstone_ingestion_lag_seconds")
            files, seconds = [await retriever.client.metric(name) for name in names]
            return files, seconds

    async with retriever_on(tmp_path, jobs=Jobs(concurrent=0)) as retriever:
        await ingest(retriever.client, [("a.txt", b"apple"), ("b.txt", b"pear")])

    def now(change: str) -> None:
        with sqlite3.connect(tmp_path / "catalogue.sqlite3") as catalogue:
            catalogue.execute(f"UPDATE jobs SET {change}")

    now("created_at = created_at - 5000")
    files, seconds = await told()
    assert files == 2
    assert 5000 <= seconds < 9000
    now("status = 'running', lease_until = unixepoch() + 9000")
    assert await told() == (2, 0)
    now("status = 'paused', lease_until = 0")
    assert await told() == (0, 0)
