"""What the retriever adds: a search beside its two bare steps, many clients beside one, ingestion
beside the bare model. The documents are the sample corpus; `index_growth.py` measures the engine.

    python benchmarks/retrieval_speed.py [--copies 4]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path

from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from services.contracts.knowledge import CollectionSearch, DocumentWrite
from services.retriever import filters, lexical
from services.retriever.catalogue.records import Caller, Place
from services.retriever.chunking import Chunker
from services.retriever.index.port import (
    IndexQuery,
)
from services.retriever.indexing import context_of
from services.retriever.resources import Resources, open_resources
from services.retriever.settings import Settings

CORPUS = Path(__file__).parents[1] / "examples" / "corpus"
CALLER = Caller("benchmark", (), curator=False)
SEARCH_BAR = 1.3
INGESTION_BAR = 0.9
CLIENTS_BAR = 3.0
CLIENTS = 32
ASKED = 40
ASKED_BY_CLIENTS = 384
ROUNDS = 3


def main() -> int:
    """Measure both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, default=4, help="of each document of the corpus")
    parser.add_argument("--models-dir", type=Path, help="where the prepared model is kept")
    return asyncio.run(_measure(parser.parse_args()))


async def _measure(chosen: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            api_key=SecretStr("benchmark"), data_dir=Path(folder), models_dir=chosen.models_dir
        )
        async with open_resources(settings, CollectorRegistry()) as resources:
            documents = _documents(chosen.copies)
            ingestion = await _ingestion(resources, documents, settings)
            search = await _search(resources)
            clients = await _clients(resources)
    kept = (
        ingestion >= INGESTION_BAR,
        search <= SEARCH_BAR,
        clients >= CLIENTS_BAR,
    )
    return 0 if all(kept) else 1


def _documents(copies: int) -> dict[str, str]:
    """Copy the corpus; every copy differs, so that no vector is computed once for two."""
    return {
        f"{path.stem} {copy}": f"{path.read_text(encoding='utf-8')}\n\n{copy}"
        for copy in range(copies)
        for path in sorted(CORPUS.glob("*.md"))
    }


async def _ingestion(resources: Resources, documents: dict[str, str], settings: Settings) -> float:
    chunker = Chunker(
        resources.embedder.count_tokens,
        chunk_tokens=settings.chunk_tokens,
        overlap_tokens=settings.chunk_overlap_tokens,
    )
    contexts = [
        context_of(name, chunk, resources.embedder.count_tokens)
        for name, text in documents.items()
        for chunk in chunker.chunks(text)
    ]
    await resources.embedder.texts(contexts[:32], "passage")
    started = time.perf_counter()
    await resources.embedder.texts(contexts, "passage")
    bare = len(contexts) / (time.perf_counter() - started)
    started = time.perf_counter()
    turns = asyncio.Semaphore(4)

    async def write(name: str, text: str) -> None:
        async with turns:
            place = Place(CALLER.tenant, "docs", name)
            await resources.indexer.write(place, DocumentWrite(text=text, title=name))

    await asyncio.gather(*(write(name, text) for name, text in documents.items()))
    ours = len(contexts) / (time.perf_counter() - started)
    print(f"ingestion   {len(documents)} documents, {len(contexts)} chunks")
    print(f"  bare model        {bare:8.1f} chunks/s")
    print(f"  through indexing  {ours:8.1f} chunks/s   {ours / bare:.2f}x (bar {INGESTION_BAR})")
    return ours / bare


async def _clients(resources: Resources) -> float:
    """Let one client and many take turns; their questions are all different."""
    ratios = []
    for turn in range(ROUNDS):
        alone = await _throughput(resources, 1, f"alone {turn}")
        together = await _throughput(resources, CLIENTS, f"together {turn}")
        ratios.append(together / alone)
        print(f"clients     one {alone:7.1f}/s   {CLIENTS} at once {together:7.1f}/s")
    ratio = statistics.median(ratios)
    print(f"  throughput of many against one      {ratio:.2f}x (bar {CLIENTS_BAR})")
    return ratio


async def _throughput(resources: Resources, clients: int, tag: str) -> float:
    waiting = iter(range(ASKED_BY_CLIENTS if clients > 1 else ASKED_BY_CLIENTS // 4))
    done = 0

    async def ask() -> None:
        nonlocal done
        for number in waiting:
            body = CollectionSearch(
                query=f"How long may I return order {number} {tag}?", collections=["docs"]
            )
            await resources.searcher.search(CALLER, body)
            done += 1

    started = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(clients)))
    return done / (time.perf_counter() - started)


async def _search(resources: Resources) -> float:
    """Let the ways take turns, so that a busy machine slows them all."""
    spent: dict[str, list[float]] = {"embedding": [], "engine": [], "search": []}
    scopes = filters.scopes(CALLER.tenant, ["docs"])

    async def timed(name: str, step: Awaitable[object]) -> None:
        started = time.perf_counter()
        await step
        spent[name].append((time.perf_counter() - started) * 1000)

    for number in range(ASKED):
        text = f"How long may I return order number {number}, and what does it cost?"
        other = f"Until when may I send back order {number}, and who pays?"
        vector = await resources.embedder.question(f"{text} again")
        await timed("embedding", resources.embedder.question(text))
        query = IndexQuery(
            where=filters.readers_condition(CALLER.tenant, ["docs"], ()),
            scopes=scopes,
            dense=vector.tolist(),
            lexical=lexical.question_vector(text),
            by_meaning=True,
            by_words=True,
            limit=5,
            prefetch=50,
        )
        await timed("engine", resources.index.search(query))
        body = CollectionSearch(query=other, collections=["docs"])
        await timed("search", resources.searcher.search(CALLER, body))
    medians = {name: statistics.median(times) for name, times in spent.items()}
    ratio = medians["search"] / (medians["embedding"] + medians["engine"])
    print(f"search      one client, median of {ASKED}")
    for name, median in medians.items():
        print(f"  {name:17} {median:8.2f} ms")
    print(f"  search against the two bare steps   {ratio:.2f}x (bar {SEARCH_BAR})")
    return ratio


if __name__ == "__main__":
    sys.exit(main())
