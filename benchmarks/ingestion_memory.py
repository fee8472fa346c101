"""What memory an ingestion takes as the collection grows: parent, index and parser, every so often.

A stand-in makes the vectors, so that the model's time does not limit how much is ingested; files,
parser, chunks, words, catalogue and index are the real ones.

    python benchmarks/ingestion_memory.py [--chunks 100000] [--every 10000]
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from index_growth import memory_mib
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from services.contracts.ingestion import IngestionOptions
from services.retriever.embedding import Kind, Vector
from services.retriever.jobs.intake import SentFile
from services.retriever.resources import Resources, open_resources
from services.retriever.settings import Settings

GROWTH_BAR_MIB = 64
"""How much the parent may grow from the first row to the last."""

FILES_A_JOB = 25
WORDS_A_FILE = 8_000
VOCABULARY = 50_000
_WORD = re.compile(r"\w+")


@dataclass(slots=True)
class RandomEmbedder:
    """Vectors that mean nothing, at once."""

    fingerprint: str = "0123456789ab"
    name: str = "random"
    dimensions: int = 384
    max_tokens: int = 512
    _chance: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def count_tokens(self, text: str) -> int:
        return len(_WORD.findall(text))

    async def question(self, text: str) -> Vector:
        return (await self.texts([text], "query"))[0]

    async def texts(self, texts: Sequence[str], kind: Kind) -> list[Vector]:
        vectors = self._chance.standard_normal((len(texts), self.dimensions)).astype(np.float32)
        return list(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--every", type=int, default=10_000)
    chosen = parser.parse_args()
    return asyncio.run(_measure(chosen.chunks, chosen.every))


async def _measure(chunks: int, every: int) -> int:
    parent: list[float] = []
    print("MiB, own memory (and of files, which the system takes back)")
    print(f"{'chunks':>8} {'chunks/s':>9} {'parent':>14} {'index':>14} {'parser':>14}")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(api_key=SecretStr("benchmark"), data_dir=Path(folder))
        async with open_resources(
            settings, CollectorRegistry(), embedder=RandomEmbedder()
        ) as resources:
            chance, number, stored, started = random.Random(0), 0, 0, time.perf_counter()
            while stored < chunks:
                stored += await _job(resources, chance, number)
                number += 1
                if stored >= every * (len(parent) + 1):
                    rate = stored / (time.perf_counter() - started)
                    parent.append(_row(stored, rate))
    grown = parent[-1] - parent[0]
    print(f"the parent grew by {grown:.0f} MiB (bar {GROWTH_BAR_MIB})")
    return 0 if grown <= GROWTH_BAR_MIB else 1


async def _job(resources: Resources, chance: random.Random, number: int) -> int:
    sent = []
    for file in range(FILES_A_JOB):
        words = [f"w{chance.randrange(VOCABULARY)}" for _ in range(WORDS_A_FILE)]
        sentences = [" ".join(words[at : at + 20]) + "." for at in range(0, len(words), 20)]
        content = " ".join(sentences).encode()
        sent.append(SentFile(f"{number}-{file}.txt", io.BytesIO(content), len(content)))
    job = await resources.intake.upload("benchmark", "docs", IngestionOptions(), sent)
    while True:
        state = await resources.intake.jobs.read("benchmark", job.id)
        if state.status not in ("queued", "running"):
            break
        await asyncio.sleep(0.05)
    assert state.progress.failed == 0, state
    return state.progress.chunks


def _row(stored: int, rate: float) -> float:
    anonymous, files = memory_mib(os.getpid())
    found = {"edge_process": [0.0, 0.0], "parsing": [0.0, 0.0]}
    for pid in _children():
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
        for name, sums in found.items():
            if name in command:
                own, mapped = memory_mib(pid)
                sums[0] += own
                sums[1] += mapped
    cells = [f"{own:.0f} ({mapped:.0f})" for own, mapped in ((anonymous, files), *found.values())]
    print(f"{stored:>8} {rate:>9.0f}" + "".join(f" {cell:>14}" for cell in cells), flush=True)
    return anonymous


def _children() -> list[int]:
    tasks = Path("/proc/self/task").glob("*/children")
    return [int(pid) for task in tasks for pid in task.read_text(encoding="ascii").split()]


if __name__ == "__main__":
    sys.exit(main())
