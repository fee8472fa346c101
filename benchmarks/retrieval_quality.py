"""How well passages are found: by meaning, by words and by both, on the same questions.

Real documents go through the real chunker, embedding model and embedded index. The sets are public
ones that are not part of this repository; those that are not there are left out.

    python benchmarks/retrieval_quality.py [--documents 250] [--questions 150] [--data DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from services.contracts.knowledge import CollectionSearch, DocumentWrite
from services.retriever.catalogue.records import Place
from services.retriever.resources import Resources, open_resources
from services.retriever.searching import Caller
from services.retriever.settings import Settings

Mode = Literal["dense", "lexical", "hybrid"]
MODES: tuple[Mode, ...] = ("dense", "lexical", "hybrid")
DEPTH = 10
CHUNKS_ASKED_FOR = 50
"""Several chunks of one document may be found; the best counts."""

BOOTSTRAPS = 2000
CALLER = Caller("benchmark", ())


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the documents that answer it."""

    text: str
    answers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents and questions about them."""

    name: str
    documents: dict[str, tuple[str, str]]
    """Title and text by id."""
    questions: list[Question]


def main() -> int:
    """Index every set that is there, ask, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--models-dir", type=Path, help="where the prepared model is kept")
    parser.add_argument("--documents", type=int, default=250)
    parser.add_argument("--questions", type=int, default=150)
    chosen = parser.parse_args()
    corpora = [
        corpus for read in SETS if (corpus := read(chosen.data, chosen.documents, chosen.questions))
    ]
    if not corpora:
        print(f"No set is in {chosen.data}; nothing to measure.")
        return 0
    return asyncio.run(_measure(corpora, chosen.models_dir))


async def _measure(corpora: Sequence[Corpus], models_dir: Path | None) -> int:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            api_key=SecretStr("benchmark"), data_dir=Path(folder), models_dir=models_dir
        )
        async with open_resources(settings, CollectorRegistry()) as resources:
            print(f"{'nDCG@10':14}{'docs':>6}{'asked':>6}", *(f"{mode:>16}" for mode in MODES))
            pooled: dict[Mode, list[float]] = defaultdict(list)
            worse = []
            for corpus in corpora:
                await _index(resources, corpus)
                scores = await _ask(resources, corpus)
                _print_row(corpus.name, len(corpus.documents), scores)
                worse += _losses(corpus.name, scores)
                for mode in MODES:
                    pooled[mode] += scores[mode]
            _print_row("pooled", sum(len(corpus.documents) for corpus in corpora), pooled)
    for line in worse:
        print(line)
    best_alone = max(_mean(pooled["dense"]), _mean(pooled["lexical"]))
    held = not worse and _mean(pooled["hybrid"]) > best_alone
    print("hybrid is never worse and better pooled:", "yes" if held else "NO")
    return 0 if held else 1


async def _index(resources: Resources, corpus: Corpus) -> None:
    started = time.monotonic()
    turns = asyncio.Semaphore(8)

    async def write(name: str, title: str, text: str) -> None:
        async with turns:
            place = Place(CALLER.tenant, corpus.name, name)
            await resources.indexer.write(place, DocumentWrite(text=text, title=title))

    await asyncio.gather(
        *(write(name, title, text) for name, (title, text) in corpus.documents.items())
    )
    (known,) = await resources.catalogue.documents.collections(CALLER.tenant, corpus.name)
    rate = known.chunks / (time.monotonic() - started)
    print(f"  {corpus.name}: {known.chunks} chunks, {rate:.1f} a second", file=sys.stderr)


async def _ask(resources: Resources, corpus: Corpus) -> dict[Mode, list[float]]:
    scores: dict[Mode, list[float]] = defaultdict(list)
    for question in corpus.questions:
        for mode in MODES:
            result = await resources.searcher.search(
                CALLER,
                CollectionSearch(
                    query=question.text,
                    collections=[corpus.name],
                    top_k=CHUNKS_ASKED_FOR,
                    mode=mode,
                ),
            )
            found = list(dict.fromkeys(passage.document_id for passage in result.data))
            scores[mode].append(_ndcg(found[:DEPTH], question.answers))
    return scores


def _ndcg(found: Sequence[str], answers: frozenset[str]) -> float:
    gained = sum(1 / math.log2(at + 2) for at, name in enumerate(found) if name in answers)
    ideal = sum(1 / math.log2(at + 2) for at in range(min(DEPTH, len(answers))))
    return gained / ideal


def _losses(name: str, scores: dict[Mode, list[float]]) -> Iterator[str]:
    """Say where hybrid is worse than one ranking alone by more than chance explains."""
    for alone in ("dense", "lexical"):
        pairs = zip(scores["hybrid"], scores[alone], strict=True)
        _, high = _interval([ours - theirs for ours, theirs in pairs])
        if high < 0:
            yield f"{name}: hybrid is worse than {alone} alone"


def _print_row(name: str, documents: int, scores: dict[Mode, list[float]]) -> None:
    cells = []
    for mode in MODES:
        low, high = _interval(scores[mode])
        cells.append(f"{_mean(scores[mode]):.3f} ±{(high - low) / 2:.3f}")
    asked = len(scores["hybrid"])
    print(f"{name:14}{documents:>6}{asked:>6}", *(f"{cell:>16}" for cell in cells), flush=True)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """Bootstrap a 95 % interval of the mean."""
    chance = random.Random(0)
    means = sorted(_mean(chance.choices(values, k=len(values))) for _ in range(BOOTSTRAPS))
    return means[int(0.025 * BOOTSTRAPS)], means[int(0.975 * BOOTSTRAPS)]


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _set(
    name: str,
    documents_file: str,
    questions_file: str,
    *,
    ask: str = "question",
    answers: Callable[[dict[str, Any]], list[str]],
    title: str = "title",
) -> Callable[[Path, int, int], Corpus | None]:
    """Describe a set; reading it keeps the documents that answer and fills up with others."""

    def read(folder: Path, most_documents: int, most_questions: int) -> Corpus | None:
        rows, asked = _rows(folder / documents_file), _rows(folder / questions_file)
        # Ids of the sets may be addresses; a document's id has no slash.
        number = {str(row["id"]): f"d{at}" for at, row in enumerate(rows)}
        known = {number[str(row["id"])]: (row.get(title) or "", row["text"]) for row in rows}
        right = [(row[ask], frozenset(number[name] for name in answers(row))) for row in asked]
        chance = random.Random(0)
        names = sorted(known)
        chance.shuffle(names)
        kept = set(names[:most_documents])
        usable = [Question(text, names) for text, names in right if names and names <= kept]
        chance.shuffle(usable)
        questions = usable[:most_questions]
        documents = {key: value for key, value in known.items() if key in kept}
        return Corpus(name, documents, questions) if questions else None

    return read


def _one(row: dict[str, Any]) -> list[str]:
    return [row["passage_id"]] if row.get("passage_id") and not row.get("is_impossible") else []


def _many(row: dict[str, Any]) -> list[str]:
    return [str(name) for name in row["gold_ids"]]


SETS = (
    _set("korquad", "korquad_dev_passages.jsonl", "korquad_dev.jsonl", answers=_one),
    _set("ko-docs", "ko_docs_corpus.jsonl", "ko_docs_qa.jsonl", answers=_many),
    _set(
        "ko-welfare",
        "ko_welfare_corpus.jsonl",
        "ko_welfare_queries.jsonl",
        ask="query",
        answers=_many,
    ),
    _set("squad", "squad_dev_passages.jsonl", "squad_dev.jsonl", answers=_one),
    _set(
        "product-docs",
        "productdocs_chunks.jsonl",
        "productdocs_qa.jsonl",
        answers=_many,
        title="heading",
    ),
)

if __name__ == "__main__":
    sys.exit(main())
