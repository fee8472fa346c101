"""An ingestion job beside the bare embedding model, files to searchable documents included.

The bare model is measured before and after the job, on the chunks of the same files, so that a
busy machine slows both.

    python benchmarks/ingestion.py [--copies 8] [--folder DIR] [--models-dir DIR] [--repeat 3]
"""

from __future__ import annotations

import argparse
import asyncio
import io
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from services.contracts.ingestion import READABLE_SUFFIXES, IngestionOptions
from services.retriever.chunking import Chunker
from services.retriever.embedding import Embedder
from services.retriever.indexing import context_of
from services.retriever.jobs.intake import SentFile
from services.retriever.parsing.outcomes import Parsed
from services.retriever.resources import Resources, open_resources
from services.retriever.settings import Settings

CORPUS = Path(__file__).parents[1] / "examples" / "corpus"
BAR = 0.9
TENANT, COLLECTION = "benchmark", "docs"


@dataclass(frozen=True)
class Work:
    """Files, and the texts that the model is given for them."""

    files: dict[str, bytes]
    contexts: list[str]


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, default=8, help="of each file")
    parser.add_argument("--folder", type=Path, default=CORPUS)
    parser.add_argument("--models-dir", type=Path, help="where the prepared model is kept")
    parser.add_argument("--repeat", type=int, default=3)
    chosen = parser.parse_args()
    return asyncio.run(_measure(chosen))


async def _measure(chosen: argparse.Namespace) -> int:
    ratios = []
    for number in range(chosen.repeat):
        with tempfile.TemporaryDirectory() as folder:
            settings = Settings(
                api_key=SecretStr("benchmark"), data_dir=Path(folder), models_dir=chosen.models_dir
            )
            async with open_resources(settings, CollectorRegistry()) as resources:
                work = await _work(resources, settings, chosen)
                ratios.append(await _compare(number, resources, work))
    ratio = statistics.median(ratios)
    print(f"median                               {ratio:.2f}x (bar {BAR})")
    return 0 if ratio >= BAR else 1


async def _work(resources: Resources, settings: Settings, chosen: argparse.Namespace) -> Work:
    files = {
        f"{copy}-{path.name}": path.read_bytes() + f"\n\n{copy}\n".encode()
        for copy in range(chosen.copies)
        for path in sorted(chosen.folder.iterdir())
        if path.suffix in READABLE_SUFFIXES
    }
    chunker = Chunker(
        resources.embedder.count_tokens,
        chunk_tokens=settings.chunk_tokens,
        overlap_tokens=settings.chunk_overlap_tokens,
    )
    contexts = []
    for name, content in files.items():
        parsed = await resources.uploader.parser.parse(name, content)
        if isinstance(parsed, Parsed):
            found = await asyncio.to_thread(chunker.chunks, parsed.text)
            count = resources.embedder.count_tokens
            contexts += [context_of(parsed.title, chunk, count) for chunk in found]
    await resources.embedder.texts(contexts[:64], "passage")
    return Work(files, contexts)


async def _compare(number: int, resources: Resources, work: Work) -> float:
    middle = len(work.contexts) // 2
    first = await _bare(resources.embedder, work.contexts[:middle])
    job = await _job(resources, work)
    second = await _bare(resources.embedder, work.contexts[middle:])
    bare, ours = len(work.contexts) / (first + second), len(work.contexts) / job
    if not number:
        print(f"{len(work.files)} files, {len(work.contexts)} chunks")
    print(f"  bare {bare:7.1f} chunks/s   job {ours:7.1f} chunks/s   {ours / bare:.2f}x")
    return ours / bare


async def _bare(embedder: Embedder, contexts: list[str]) -> float:
    started = time.perf_counter()
    await embedder.texts(contexts, "passage")
    return time.perf_counter() - started


async def _job(resources: Resources, work: Work) -> float:
    sent = [
        SentFile(name, io.BytesIO(content), len(content)) for name, content in work.files.items()
    ]
    started = time.perf_counter()
    job = await resources.intake.upload(TENANT, COLLECTION, IngestionOptions(), sent)
    while True:
        state = await resources.intake.jobs.read(TENANT, job.id)
        if state.status not in ("queued", "running"):
            break
        await asyncio.sleep(0.05)
    assert state.progress.failed == 0, state
    assert state.progress.chunks == len(work.contexts), state
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
