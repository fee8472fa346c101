"""Side by side with Haystack's hybrid pipeline: same model, documents and questions, one run.

    python -m venv peers && peers/bin/pip install haystack-ai sentence-transformers-haystack
    python benchmarks/retrieval_peers.py --haystack-python peers/bin/python

Without that option its column is left out. Both embed in one thread; each uses its own default
precision. The time is that of one question after the other, embedding included.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from corpora import DATA, Corpus, read_sets
from knowledge_base import open_knowledge_base

from services.domain.relevance import ndcg
from services.domain.statistics import compare, estimate
from services.retriever.embedding_model import PACKAGED_MODEL, locate_embedding_model

DEPTH = 10
CHUNKS_ASKED_FOR = 50
PEER = Path(__file__).with_name("haystack_pipeline.py")
PEER_SECONDS = 3600
"""How long the peer may take for one set."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One system's values over one set."""

    ndcg: list[float]
    seconds: list[float]


def main() -> int:
    """Measure both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--models-dir", type=Path, required=True)
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--haystack-python", type=Path)
    parser.add_argument("--set", dest="sets", action="append", help="only these; all by default")
    chosen = parser.parse_args()
    corpora = [
        corpus
        for corpus in read_sets(chosen.data, chosen.documents, chosen.questions)
        if not chosen.sets or corpus.name in chosen.sets
    ]
    if not corpora:
        print(f"No set is in {chosen.data}; nothing to measure.")
        return 0
    ours = asyncio.run(_ours(corpora, chosen.models_dir))
    theirs: list[Measured] = []
    if chosen.haystack_python is not None:
        folder = locate_embedding_model(PACKAGED_MODEL, chosen.models_dir)
        theirs = [_theirs(corpus, chosen.haystack_python, folder) for corpus in corpora]
    print("| nDCG@10 | questions | Inkstone | ms | Haystack | ms | difference |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for at, corpus in enumerate(corpora):
        _print_row(corpus.name, ours[at], theirs[at] if theirs else None)
    pooled = [_pooled(side) for side in (ours, theirs)]
    _print_row("**all questions**", pooled[0], pooled[1] if theirs else None)
    return 0


def _pooled(side: Sequence[Measured]) -> Measured:
    return Measured(
        [value for one in side for value in one.ndcg],
        [value for one in side for value in one.seconds],
    )


async def _ours(corpora: Sequence[Corpus], models_dir: Path) -> list[Measured]:
    found = []
    async with open_knowledge_base(models_dir) as base:
        for corpus in corpora:
            await base.fill(corpus)
            one = Measured([], [])
            for question in corpus.questions:
                started = time.perf_counter()
                result = await base.search(question.text, corpus.name, top_k=CHUNKS_ASKED_FOR)
                one.seconds.append(time.perf_counter() - started)
                names = list(dict.fromkeys(passage.document_id for passage in result.data))
                one.ndcg.append(ndcg(names, question.answers, DEPTH))
            found.append(one)
    return found


def _theirs(corpus: Corpus, python: Path, model: Path) -> Measured:
    asked = {
        "model": str(model),
        "documents": corpus.documents,
        "questions": [question.text for question in corpus.questions],
    }
    ran = subprocess.run(
        [str(python), str(PEER)],
        input=json.dumps(asked).encode(),
        stdout=subprocess.PIPE,
        timeout=PEER_SECONDS,
        check=True,
    )
    answered = json.loads(ran.stdout)
    values = [
        ndcg(names, question.answers, DEPTH)
        for names, question in zip(answered["found"], corpus.questions, strict=True)
    ]
    return Measured(values, answered["seconds"])


def _print_row(name: str, ours: Measured, theirs: Measured | None) -> None:
    cells = [f"{estimate(ours.ndcg).mean:.3f}", f"{median(ours.seconds) * 1000:.1f}"]
    if theirs is not None:
        gain = compare(theirs.ndcg, ours.ndcg).difference
        cells += [f"{estimate(theirs.ndcg).mean:.3f}", f"{median(theirs.seconds) * 1000:.1f}"]
        cells += [f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"]
    else:
        cells += ["", "", ""]
    print(f"| {name} | {len(ours.ndcg)} |", *(f"{cell} |" for cell in cells), flush=True)


if __name__ == "__main__":
    sys.exit(main())
