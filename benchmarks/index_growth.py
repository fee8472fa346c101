"""The embedded index alone: how a search's time grows with the points, and what memory they take.

Points are random, the hardest case there is: 384 dimensions, 80 words of 50,000, 600 characters.
They are stored as ingestion stores them, and at each total the same searches are timed three ways:
one tenth of the points by their reader, laid out or as they came; all points, as one collection's;
and with other searches or a writer beside. Times include the way to the child process and back; the
child's processor time for one search is what a busy machine changes least.

    python benchmarks/index_growth.py [--points 1000 10000 100000]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry

from services.retriever import filters
from services.retriever.index.edge import EdgeIndex, open_edge_index
from services.retriever.index.port import ChunkPoint, IndexQuery, SparseVector
from services.retriever.metrics import open_metrics

BAR_MS = 5.0
SIZE = 384
VOCABULARY = 50_000
TENANTS = 10
ASKED = 60
WARM = 5
CLIENTS = 8
POINTS_A_STEP = 64


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--points", type=int, nargs="+", default=[1_000, 10_000, 100_000], help="rising"
    )
    return asyncio.run(_measure(parser.parse_args().points))


async def _measure(totals: list[int]) -> int:
    print(f"hybrid search, median of {ASKED} in ms (95th percentile); bar {BAR_MS} ms")
    print(
        f"{'points':>8} {'searched':>8} {'as they came':>15} {'laid out':>15}"
        f" {'CPU':>16} {f'{CLIENTS} at once':>15} {'beside a writer':>15}"
        f" {'MiB own':>8} {'file':>5}"
    )
    medians = []
    for tenants in (TENANTS, 1):
        async with _index() as index:
            world = World(index, tenants)
            for total in totals:
                await world.grow(total)
                medians.append(await world.row())
    return 0 if max(medians) <= BAR_MS else 1


@contextlib.asynccontextmanager
async def _index() -> AsyncIterator[EdgeIndex]:
    metrics = open_metrics(CollectorRegistry())
    with tempfile.TemporaryDirectory() as folder:
        async with open_edge_index(Path(folder) / "index", SIZE, metrics, 5.0) as index:
            yield index


class World:
    """An index with random points of some tenants."""

    def __init__(self, index: EdgeIndex, tenants: int) -> None:
        self._index = index
        self._tenants = tenants
        self._numbers = np.random.default_rng(0)
        self._chance = random.Random(0)
        self._stored = 0

    async def grow(self, total: int) -> None:
        """Store points until there are so many."""
        while self._stored < total:
            step = min(POINTS_A_STEP, total - self._stored)
            await self._index.upsert([self._point(self._stored + n) for n in range(step)])
            self._stored += step
        await self._index.flush()

    async def row(self) -> float:
        """Time searches every way; return the median of those that are laid out."""
        came, cpu_before = await self._metered(self._alone)
        await self._index.tune()
        tuned, cpu_tuned = await self._metered(self._alone)
        together, cpu_together = await self._metered(self._together)
        beside = await self._beside_a_writer()
        assert self._index.child_pid is not None
        anonymous, files = memory_mib(self._index.child_pid)
        one, two, three, four = (f"{_cell(times):>15}" for times in (came, tuned, together, beside))
        searched = self._stored // self._tenants
        cpu = f"{cpu_before:.2f}/{cpu_tuned:.2f}/{cpu_together:.2f}"
        print(
            f"{self._stored:>8} {searched:>8} {one} {two} {cpu:>16} {three} {four}"
            f" {anonymous:>8.0f} {files:>5.0f}",
            flush=True,
        )
        return statistics.median(tuned)

    async def _metered(
        self, searches: Callable[[], Awaitable[list[float]]]
    ) -> tuple[list[float], float]:
        """Time searches, and tell the child's processor time for each in ms."""
        assert self._index.child_pid is not None
        await self._searches(WARM)
        before = cpu_ms(self._index.child_pid)
        times = await searches()
        return times, (cpu_ms(self._index.child_pid) - before) / len(times)

    async def _alone(self) -> list[float]:
        return await self._searches(ASKED)

    async def _together(self) -> list[float]:
        parts = await asyncio.gather(*(self._searches(ASKED // 4) for _ in range(CLIENTS)))
        return [each for part in parts for each in part]

    async def _searches(self, count: int) -> list[float]:
        queries = [self._query() for _ in range(count)]
        return [await self._timed(query) for query in queries]

    async def _timed(self, query: IndexQuery) -> float:
        started = time.perf_counter()
        await self._index.search(query)
        return (time.perf_counter() - started) * 1000

    async def _beside_a_writer(self) -> list[float]:
        """Search while the same points are stored again, at about the pace of a quick model."""
        steps = [
            [self._point(n) for n in range(at, at + POINTS_A_STEP)]
            for at in range(0, 8 * POINTS_A_STEP, POINTS_A_STEP)
        ]

        async def write() -> None:
            while True:
                for step in steps:
                    await self._index.upsert(step)
                    await asyncio.sleep(0.3)

        writing = asyncio.ensure_future(write())
        times = []
        for _ in range(ASKED):
            times.append(await self._timed(self._query()))
            await asyncio.sleep(0.02)
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing
        return times

    def _words(self, count: int) -> SparseVector:
        words = tuple({self._chance.randrange(VOCABULARY) for _ in range(count)})
        return SparseVector(words, (1.0,) * len(words))

    def _point(self, number: int) -> ChunkPoint:
        tenant = f"tenant{number % self._tenants}"
        return ChunkPoint(
            id=str(uuid.UUID(int=number + 1)),
            dense=self._numbers.standard_normal(SIZE).tolist(),
            lexical=self._words(80),
            scope=filters.scope_of(tenant, "docs"),
            document="d",
            revision=number // 50,
            readers=filters.stored_readers(tenant, "docs", ()),
            facts=(),
            numbers={},
            content={"text": "x" * 600},
        )

    def _query(self) -> IndexQuery:
        tenant = f"tenant{self._chance.randrange(self._tenants)}"
        return IndexQuery(
            where=filters.readers_condition(tenant, ["docs"], ()),
            scopes=filters.scopes(tenant, ["docs"]),
            dense=self._numbers.standard_normal(SIZE).tolist(),
            lexical=self._words(8),
            by_meaning=True,
            by_words=True,
            limit=5,
            prefetch=50,
        )


def _cell(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} ({np.quantile(times, 0.95):.2f})"


def cpu_ms(pid: int) -> float:
    """Read what a process's threads have run so far."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text(encoding="ascii").split()[0]) for each in threads) / 1e6


def memory_mib(pid: int) -> tuple[float, float]:
    """Read a process's proportional memory: its own, and what it has of files, which the system
    takes back when it needs it.
    """
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
    return kib["Pss_Anon"] / 1024, (kib["Pss_File"] + kib.get("Pss_Shmem", 0)) / 1024


if __name__ == "__main__":
    sys.exit(main())
