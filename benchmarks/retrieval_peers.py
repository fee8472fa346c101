"""Side by side with Haystack and LlamaIndex: same model, documents and questions, one run.

    python -m venv peers && peers/bin/pip install haystack-ai sentence-transformers-haystack \
        llama-index-core llama-index-embeddings-huggingface llama-index-retrievers-bm25
    python benchmarks/retrieval_peers.py --models-dir DIR --peer-python peers/bin/python

Without that option, or without a peer's packages, its rows are left out. Every side embeds in one
thread and in its own default precision. Questions are asked one after the other; times and CPU
seconds have the embedding of the question in them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from corpora import DATA, Corpus, read_sets
from knowledge_base import KnowledgeBase, open_knowledge_base
from parallel_corpora import read_pair
from peers.protocol import DEPTH, WARM_UP, unique

from services.domain.relevance import ndcg
from services.domain.statistics import compare, estimate
from services.retriever.embedding_model import PACKAGED_MODEL, locate_embedding_model

OURS = "Inkstone"
PEERS = Path(__file__).parent / "peers"
SCRIPTS = ("haystack_pipeline.py", "llamaindex_pipeline.py")
PEER_SECONDS = 3600
"""How long a peer may take for one set."""

NDCG_DEPTH = 10
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Measured:
    """One way's values over one set, question by question."""

    ndcg: list[float]
    seconds: list[float]
    cpu_seconds: float
    """Of every process that worked for it, all questions together."""


def main() -> int:
    """Measure every side and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--models-dir", type=Path, help="where the prepared model is kept")
    parser.add_argument("--vectors", type=Path, help="a file that remembers our passages' vectors")
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--peer-python", type=Path)
    parser.add_argument("--json", type=Path, help="where the values are saved, set by set")
    parser.add_argument("--set", dest="sets", action="append", help="only these; all by default")
    chosen = parser.parse_args()
    corpora = list(_read(chosen.data, chosen.documents, chosen.questions))
    if chosen.sets:
        corpora = [each for name in chosen.sets for each in corpora if each.name == name]
    if not corpora:
        print(f"No set is in {chosen.data}; nothing to measure.")
        return 0
    return asyncio.run(_measure(corpora, chosen))


def _read(data: Path, documents: int, questions: int) -> Iterator[Corpus]:
    yield from read_sets(data, documents, questions)
    if pair := read_pair(data, documents, questions):
        yield from (pair.english, pair.korean)


async def _measure(corpora: Sequence[Corpus], chosen: argparse.Namespace) -> int:
    by_way: dict[str, list[Measured]] = {}
    saved: dict[str, dict[str, Any]] = {}
    print("| set | questions | way | nDCG@10 | ours is better by | ms | CPU ms | times ours |")
    print("|---|---:|---|---:|---:|---:|---:|---:|")
    async with open_knowledge_base(chosen.models_dir, vectors=chosen.vectors) as base:
        for corpus in corpora:
            await base.fill(corpus)
            found = {OURS: await _ours(base, corpus)}
            if chosen.peer_python is not None:
                model = locate_embedding_model(PACKAGED_MODEL, chosen.models_dir)
                for script in SCRIPTS:
                    found |= _theirs(corpus, chosen.peer_python, script, model)
            _print_rows(corpus.name, found)
            for way, measured in found.items():
                by_way.setdefault(way, []).append(measured)
            saved[corpus.name] = {way: asdict(measured) for way, measured in found.items()}
            if chosen.json is not None:
                chosen.json.write_text(json.dumps(saved))
    pooled = {way: _pooled(measured) for way, measured in by_way.items()}
    _print_rows("**all questions**", pooled)
    return 0 if _is_ahead(pooled) else 1


async def _ours(base: KnowledgeBase, corpus: Corpus) -> Measured:
    values, seconds = [], []
    await base.search(WARM_UP, corpus.name, top_k=DEPTH)
    began = _cpu_seconds(os.getpid())
    for question in corpus.questions:
        started = time.perf_counter()
        result = await base.search(question.text, corpus.name, top_k=DEPTH)
        seconds.append(time.perf_counter() - started)
        names = unique(passage.document_id for passage in result.data)
        values.append(ndcg(names, question.answers, NDCG_DEPTH))
    return Measured(values, seconds, _cpu_seconds(os.getpid()) - began)


def _theirs(corpus: Corpus, python: Path, script: str, model: Path) -> dict[str, Measured]:
    asked = {
        "model": str(model),
        "documents": corpus.documents,
        "questions": [question.text for question in corpus.questions],
    }
    ran = subprocess.run(
        [str(python), str(PEERS / script)],
        input=json.dumps(asked).encode(),
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=PEER_SECONDS,
        check=False,
    )
    if ran.returncode != 0:
        reason = ran.stderr.decode().strip().splitlines()[-1:]
        print(f"{script} is left out: {''.join(reason)}", file=sys.stderr)
        return {}
    answered: dict[str, Any] = json.loads(ran.stdout)
    return {
        way: Measured(
            [
                ndcg(names, question.answers, NDCG_DEPTH)
                for names, question in zip(it["found"], corpus.questions, strict=True)
            ],
            it["seconds"],
            it["cpu_seconds"],
        )
        for way, it in answered.items()
    }


def _pooled(sets: Sequence[Measured]) -> Measured:
    return Measured(
        [value for one in sets for value in one.ndcg],
        [value for one in sets for value in one.seconds],
        sum(one.cpu_seconds for one in sets),
    )


def _print_rows(name: str, found: dict[str, Measured]) -> None:
    ours = found[OURS]
    for way, it in found.items():
        gain = compare(it.ndcg, ours.ndcg).difference
        ahead = "" if it is ours else f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
        cpu = it.cpu_seconds / len(it.ndcg) * 1000
        slower = f"{median(it.seconds) / median(ours.seconds):.1f}"
        print(
            f"| {name} | {len(it.ndcg)} | {way} | {estimate(it.ndcg).mean:.3f} | {ahead} |"
            f" {median(it.seconds) * 1000:.1f} | {cpu:.1f} | {slower} |",
            flush=True,
        )


def _is_ahead(pooled: dict[str, Measured]) -> bool:
    """Whether over all questions every peer is behind in quality and in time."""
    ours = pooled[OURS]
    peers = [it for way, it in pooled.items() if way != OURS]
    return all(
        compare(it.ndcg, ours.ndcg).is_gain and median(it.seconds) > median(ours.seconds)
        for it in peers
    )


def _cpu_seconds(pid: int) -> float:
    """Add up what a process and its children have computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    spent = (int(fields[11]) + int(fields[12])) / _TICKS
    for task in Path(f"/proc/{pid}/task").iterdir():
        children = (task / "children").read_text().split()
        spent += sum(_cpu_seconds(int(child)) for child in children)
    return spent


if __name__ == "__main__":
    sys.exit(main())
