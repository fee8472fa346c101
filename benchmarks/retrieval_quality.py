"""How well passages are found: by meaning, by words and by both, on the same questions.

Real documents go through the real chunker, embedding model and embedded index. The sets are public
ones that are not part of this repository; those that are not there are left out.

    python benchmarks/retrieval_quality.py [--documents 600] [--questions 150] [--data DIR]

Fails when hybrid is worse than one ranking alone on any set by more than chance explains, or is not
above both over all questions together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from corpora import DATA, Corpus, read_sets
from knowledge_base import KnowledgeBase, open_knowledge_base

from services.domain.relevance import ndcg, recall, reciprocal_rank
from services.domain.statistics import compare, estimate

Mode = Literal["dense", "lexical", "hybrid"]
MODES: tuple[Mode, ...] = ("dense", "lexical", "hybrid")
DEPTH = 10
CHUNKS_ASKED_FOR = 50
"""Several chunks of one document may be found; the best counts."""

Measured = dict[str, dict[Mode, list[float]]]
"""Values question by question, by measure and mode."""


def main() -> int:
    """Index every set that is there, ask, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--models-dir", type=Path, help="where the prepared model is kept")
    parser.add_argument("--documents", type=int, default=600)
    parser.add_argument("--questions", type=int, default=150)
    parser.add_argument("--json", type=Path, help="where the values are saved")
    chosen = parser.parse_args()
    corpora = read_sets(chosen.data, chosen.documents, chosen.questions)
    if not corpora:
        print(f"No set is in {chosen.data}; nothing to measure.")
        return 0
    by_set, status = asyncio.run(_measure(corpora, chosen.models_dir))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(by_set))
    return status


async def _measure(
    corpora: Sequence[Corpus], models_dir: Path | None
) -> tuple[dict[str, Measured], int]:
    print("| nDCG@10 | language | documents | questions |", *(f"{mode} |" for mode in MODES))
    print("|---|---|---:|---:|" + "---:|" * len(MODES))
    by_set: dict[str, Measured] = {}
    async with open_knowledge_base(models_dir) as base:
        for corpus in corpora:
            await base.fill(corpus)
            by_set[corpus.name] = measured = await _ask(base, corpus)
            _print_row(corpus.name, corpus.language, len(corpus.documents), measured["ndcg"])
    pooled = _pooled(by_set.values())
    documents = sum(len(corpus.documents) for corpus in corpora)
    _print_row("**all questions**", "", documents, pooled["ndcg"])
    _print_hits(corpora, by_set)
    worse = [line for name, measured in by_set.items() for line in _losses(name, measured["ndcg"])]
    gains = [compare(pooled["ndcg"][alone], pooled["ndcg"]["hybrid"]) for alone in MODES[:2]]
    for line in worse:
        print(line)
    held = not worse and all(gain.is_gain for gain in gains)
    print("hybrid is never worse, and better over all:", "yes" if held else "NO")
    return by_set, 0 if held else 1


async def _ask(base: KnowledgeBase, corpus: Corpus) -> Measured:
    values: Measured = defaultdict(lambda: defaultdict(list))
    for question in corpus.questions:
        for mode in MODES:
            result = await base.search(
                question.text, corpus.name, top_k=CHUNKS_ASKED_FOR, mode=mode
            )
            found = list(dict.fromkeys(passage.document_id for passage in result.data))
            values["ndcg"][mode].append(ndcg(found, question.answers, DEPTH))
            values["hit@5"][mode].append(float(recall(found, question.answers, 5) > 0))
            values["recall@10"][mode].append(recall(found, question.answers, DEPTH))
            values["mrr"][mode].append(reciprocal_rank(found, question.answers))
    return values


def _pooled(sets: Iterable[Measured]) -> Measured:
    pooled: Measured = defaultdict(lambda: defaultdict(list))
    for measured in sets:
        for measure, by_mode in measured.items():
            for mode, values in by_mode.items():
                pooled[measure][mode] += values
    return pooled


def _losses(name: str, scores: dict[Mode, list[float]]) -> Iterator[str]:
    """Say where hybrid is worse than one ranking alone by more than chance explains."""
    for alone in MODES[:2]:
        if compare(scores[alone], scores["hybrid"]).is_loss:
            yield f"{name}: hybrid is worse than {alone} alone"


def _print_row(name: str, language: str, documents: int, scores: dict[Mode, list[float]]) -> None:
    cells = []
    for mode in MODES:
        found = estimate(scores[mode])
        cells.append(f"{found.mean:.3f} ± {(found.high - found.low) / 2:.3f}")
    print(
        f"| {name} | {language} | {documents} | {len(scores['hybrid'])} |",
        *(f"{cell} |" for cell in cells),
        flush=True,
    )


def _print_hits(corpora: Sequence[Corpus], by_set: dict[str, Measured]) -> None:
    """Print the share of questions with a right document among the first five, by language."""
    for language in ("en", "ko"):
        names = [corpus.name for corpus in corpora if corpus.language == language]
        if not names:
            continue
        pooled = _pooled(by_set[name] for name in names)
        told = ", ".join(
            f"{measure} {estimate(pooled[measure]['hybrid']).mean:.3f}"
            for measure in ("hit@5", "recall@10", "mrr")
        )
        print(f"hybrid, {language}: {told}")


if __name__ == "__main__":
    sys.exit(main())
