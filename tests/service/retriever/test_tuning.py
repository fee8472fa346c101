"""Laying the index out in a second folder while the first one serves."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from services.chassis.telemetry import open_registry
from services.retriever import filters
from services.retriever.index.edge import open_edge_index
from services.retriever.index.port import ChunkPoint, Index, IndexQuery, SparseVector
from services.retriever.index.switching import open_switching_index
from services.retriever.metrics import open_metrics
from services.retriever.rebuilding import Rebuilder
from tests.ports import free_port
from tests.service.retriever.points import DIMENSIONS, point
from tests.service.retriever.process import retriever_process
from tests.service.retriever.retriever import RetrieverUnderTest, retriever_on
from tests.service.retriever.test_crashes import (
    _keep_writing,
    finished,
    in_step,
    word,
)
from tests.service.retriever.test_rebuilding import makings

pytestmark = pytest.mark.anyio

SIZE = 384
ENOUGH_POINTS = 7_500
"""More than the engine leaves as they came."""


def rebuilder_of(retriever: RetrieverUnderTest) -> Rebuilder:
    """What makes an index anew that one process owns."""
    assert isinstance(retriever.resources.rebuilder, Rebuilder)
    return retriever.resources.rebuilder


async def test_searches_and_changes_go_on_meanwhile_and_nothing_is_embedded_again(
    tmp_path: Path,
) -> None:
    async with retriever_on(tmp_path) as retriever:
        client = retriever.client
        for n in range(30):
            await client.put(f"d{n}", f"apple number {n}", allowed_groups=["staff"] * (n % 2))
        staff = client.in_groups("staff")
        number = 0
        async with asyncio.TaskGroup() as group:
            tuning = group.create_task(rebuilder_of(retriever).tune())
            while not tuning.done():
                assert (await client.put(f"new{number}", f"apple new {number}")).status == 200
                removed = f"/collections/docs/documents/d{number}"
                assert (await client.call("DELETE", removed)).status in (200, 404)
                reply = await staff.search("apple", top_k=50)
                there = min(30 + max(0, number - 29), 50)
                assert (reply.status, len(reply.passages)) == (200, there)
                number += 1
        assert number > 1
        await in_step(retriever)
        listed = await client.call("GET", "/collections/docs/documents", limit="1000")
        left = {f"d{n}" for n in range(number, 30)} | {f"new{n}" for n in range(number)}
        assert {document["id"] for document in listed.body["data"]} == left
        assert len((await staff.search("apple", top_k=50)).passages) == min(len(left), 50)
        assert len(retriever.embedder.embedded) == 30 + number
        assert makings(tmp_path) == [f"{retriever.embedder.fingerprint}-v2-g1"]


async def test_the_index_is_laid_out_when_much_has_changed(tmp_path: Path) -> None:
    often: dict[str, Any] = {"index_tune_after": 5, "index_look_seconds": 0.05}
    async with retriever_on(tmp_path, **often) as retriever:
        client = retriever.client
        for n in range(4):
            await client.put(f"d{n}", f"apple number {n}")
        assert makings(tmp_path) == [f"{retriever.embedder.fingerprint}-v2-g0"]
        await client.put("d4", "apple number 4")
        async with asyncio.timeout(60):
            while makings(tmp_path) != [f"{retriever.embedder.fingerprint}-v2-g1"]:
                assert len((await client.search("apple")).passages) == 5
        assert (await client.call("GET", "/index")).body["status"] == "idle"


async def test_a_rebuild_that_is_asked_for_meanwhile_comes_after(tmp_path: Path) -> None:
    async with retriever_on(tmp_path) as retriever:
        client = retriever.client
        await client.put("d", "apple")
        await rebuilder_of(retriever).start()
        assert (await client.call("POST", "/index/rebuild")).code == "index_building"
        async with asyncio.timeout(60):
            while (await client.call("GET", "/index")).body["status"] == "building":
                await asyncio.sleep(0.02)
        await rebuilder_of(retriever).tune()
        assert (await client.search("apple")).passages == ["apple"]
        assert makings(tmp_path) == [f"{retriever.embedder.fingerprint}-v2-g2"]


async def test_the_index_that_serves_is_not_flushed_while_another_is_made(tmp_path: Path) -> None:
    registry = open_registry()
    metrics = open_metrics(registry)

    def flushes() -> float:
        sample = "inkstone_index_seconds_count"
        return registry.get_sample_value(sample, {"operation": "flush"}) or 0.0

    def opener(generation: int) -> AbstractAsyncContextManager[Index]:
        folder = tmp_path / str(generation)
        # Only the one that serves flushes unasked here, so that the count tells of it alone.
        often = 0.02 if generation == 0 else 1e6
        return open_edge_index(folder, DIMENSIONS, metrics, often)

    async with open_switching_index(opener, 0) as index:
        await index.open_new(1)
        await index.upsert([point("apple")])
        before = flushes()
        await asyncio.sleep(0.5)
        assert flushes() == before
        await index.drop_new()
        async with asyncio.timeout(60):
            while flushes() == before:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("rounds", [3, pytest.param(20, marks=pytest.mark.long)])
async def test_a_retriever_killed_while_it_lays_out_loses_and_doubles_nothing(
    tmp_path: Path, rounds: int
) -> None:
    """The process lays its index out again and again while documents are written."""
    acknowledged: set[str] = set()
    chance = random.Random(3)
    seen: set[str] = set()
    async with aiohttp.ClientSession() as session:
        for round_ in range(rounds):
            async with retriever_process(tmp_path, free_port(), session, "tune") as running:
                process, client = running
                writers = [
                    asyncio.create_task(_keep_writing(client, f"r{round_}w{n}", "", acknowledged))
                    for n in range(2)
                ]
                before = set(makings(tmp_path))
                async with asyncio.timeout(60):
                    while set(makings(tmp_path)) <= before or len(acknowledged) < 6 * (round_ + 1):
                        await asyncio.sleep(0.005)
                await asyncio.sleep(chance.uniform(0.0, 3.0))
                seen.update(makings(tmp_path))
                os.kill(process.pid, signal.SIGKILL)
                await asyncio.gather(*writers)
    assert len(seen) > 1
    async with retriever_on(tmp_path) as retriever:
        expected = await finished(retriever)
        client = retriever.client
        live = await retriever.resources.catalogue.repairs.live_chunks()
        stored = {place.id for place, _ in live.values()}
        assert acknowledged <= stored
        assert len(expected) == len(stored)
        for name in sorted(acknowledged)[:10]:
            assert len((await client.search(word(name), mode="lexical", top_k=50)).passages) == 1
        async with asyncio.timeout(60):
            while len(makings(tmp_path)) != 1:
                await asyncio.sleep(0.02)


async def test_what_is_laid_out_finds_the_same_with_the_same_scores(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    metrics = open_metrics(open_registry())
    async with open_edge_index(tmp_path / "index", SIZE, metrics, 5.0) as index:
        for at in range(0, ENOUGH_POINTS, 250):
            await index.upsert([_random_point(n, chance) for n in range(at, at + 250)])
        asked = [_random_question(chance, tenant) for tenant in range(3) for _ in range(4)]
        before = [await index.search(query) for query in asked]
        assert (await index.wear()).changed == ENOUGH_POINTS
        await index.tune()
        assert (await index.wear()).changed == 0
        for query, former in zip(asked, before, strict=True):
            now = await index.search(query)
            assert [hit.id for hit in now] == [hit.id for hit in former]
            assert [hit.score for hit in now] == pytest.approx(
                [hit.score for hit in former], abs=1e-5
            )
            exact = [hit.similarity for hit in former]
            assert [hit.similarity for hit in now] == pytest.approx(exact, abs=1e-6)


def _words(chance: np.random.Generator, count: int) -> SparseVector:
    words = tuple({int(word_) for word_ in chance.integers(0, 2_000, count)})
    # Of different weights: which of several equals comes last is nobody's promise.
    return SparseVector(words, tuple(chance.uniform(0.5, 1.5, len(words)).tolist()))


def _random_point(number: int, chance: np.random.Generator) -> ChunkPoint:
    tenant = f"t{number % 3}"
    return ChunkPoint(
        id=f"00000000-0000-0000-0000-{number:012x}",
        dense=chance.standard_normal(SIZE).tolist(),
        lexical=_words(chance, 20),
        scope=filters.scope_of(tenant, "docs"),
        document="d",
        revision=number,
        readers=filters.stored_readers(tenant, "docs", ()),
        facts=(),
        numbers={},
        content={"text": str(number)},
    )


def _random_question(chance: np.random.Generator, tenant: int) -> IndexQuery:
    return IndexQuery(
        where=filters.readers_condition(f"t{tenant}", ["docs"], ()),
        scopes=filters.scopes(f"t{tenant}", ["docs"]),
        dense=chance.standard_normal(SIZE).tolist(),
        lexical=_words(chance, 6),
        by_meaning=True,
        by_words=True,
        limit=20,
        prefetch=50,
    )
