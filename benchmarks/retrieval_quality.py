"""How well passages are found: by meaning, by words and by both, on the same questions.

Real documents go through the real chunker, embedding model and embedded index. The sets are public
ones that are not part of this repository; those that are not there are left out.

    python benchmarks/retrieval_quality.py [--documents 600] [--questions 150] [--data DIR]

One documentation is asked in both languages it is written in, and across them. `--worst 5` prints
the questions of each set whose answer came last, and what came first instead.

Fails when hybrid is worse than one ranking alone on any set by more than chance explains, is not
above both over all questions together, or finds 5 points less in Korean than in English.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from corpora import DATA, Corpus, Question, read_sets
from knowledge_base import KnowledgeBase, open_knowledge_base
from parallel_corpora import Pair, read_pair

from services.domain.relevance import ndcg, recall, reciprocal_rank
from services.domain.statistics import Estimate, compare, estimate

Mode = Literal["dense", "lexical", "hybrid"]
MODES: tuple[Mode, ...] = ("dense", "lexical", "hybrid")
DEPTH = 10
CHUNKS_ASKED_FOR = 50
"""Several chunks of one document may be found; the best counts."""

LANGUAGE_BAR = 0.05
"""How much smaller the share of Korean questions may be whose answer is among the first five."""

Values = dict[str, dict[Mode, list[float]]]
"""Values question by question, by measure and mode."""


@dataclass(frozen=True, slots=True)
class Miss:
    """A question, and what hybrid search found first."""

    question: str
    place: int
    """Where the first right document came, from 1; one past the end when it was not found."""
    first: str
    """Title and beginning of the first passage."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the questions of one set showed."""

    corpus: Corpus
    values: Values = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    misses: list[Miss] = field(default_factory=list)


def main() -> int:
    """Index every set that is there, ask, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--models-dir", type=Path, help="where the prepared model is kept")
    parser.add_argument("--vectors", type=Path, help="a file that remembers passages' vectors")
    parser.add_argument("--documents", type=int, default=600)
    parser.add_argument("--questions", type=int, default=150)
    parser.add_argument("--worst", type=int, default=0, help="questions of each set to print")
    parser.add_argument("--json", type=Path, help="where the values are saved")
    chosen = parser.parse_args()
    corpora = read_sets(chosen.data, chosen.documents, chosen.questions)
    pair = read_pair(chosen.data, chosen.documents, chosen.questions)
    if not corpora and pair is None:
        print(f"No set is in {chosen.data}; nothing to measure.")
        return 0
    return asyncio.run(_measure(corpora, pair, chosen))


async def _measure(corpora: list[Corpus], pair: Pair | None, chosen: argparse.Namespace) -> int:
    print("| nDCG@10 | language | documents | questions |", *(f"{mode} |" for mode in MODES))
    print("|---|---|---:|---:|" + "---:|" * len(MODES))
    alike = [pair.english, pair.korean] if pair else []
    across = list(pair.crossed()) if pair else []
    found: dict[str, Measured] = {}
    async with open_knowledge_base(chosen.models_dir, vectors=chosen.vectors) as base:
        for corpus in [*corpora, *alike]:
            await base.fill(corpus)
            found[corpus.name] = await _ask(base, corpus, corpus.name)
            _print_row(found[corpus.name])
        for crossed, corpus in zip(across, alike, strict=True):
            found[crossed.name] = await _ask(base, crossed, corpus.name)
            _print_row(found[crossed.name])
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({name: it.values for name, it in found.items()}))
    within = [it for it in found.values() if it.corpus not in across]
    held = [_is_better_over_all(within), _is_never_worse(found.values())]
    _print_hits(within)
    if pair:
        held.append(_is_alike(found[pair.english.name], found[pair.korean.name]))
    for it in found.values():
        _print_worst(it, chosen.worst)
    return 0 if all(held) else 1


async def _ask(base: KnowledgeBase, corpus: Corpus, collection: str) -> Measured:
    measured = Measured(corpus)
    for question in corpus.questions:
        for mode in MODES:
            result = await base.search(question.text, collection, top_k=CHUNKS_ASKED_FOR, mode=mode)
            found = list(dict.fromkeys(passage.document_id for passage in result.data))
            _note(measured.values, mode, found, question)
            if mode == "hybrid" and result.data:
                best = result.data[0]
                place = next((at for at, it in enumerate(found) if it in question.answers), -1)
                told = f"{best.title}: {best.text[:100]}".replace("\n", " ")
                measured.misses.append(
                    Miss(question.text, place + 1 if place >= 0 else len(found) + 1, told)
                )
    return measured


def _note(values: Values, mode: Mode, found: Sequence[str], question: Question) -> None:
    values["ndcg"][mode].append(ndcg(found, question.answers, DEPTH))
    values["hit@5"][mode].append(float(recall(found, question.answers, 5) > 0))
    values["recall@10"][mode].append(recall(found, question.answers, DEPTH))
    values["mrr"][mode].append(reciprocal_rank(found, question.answers))


def _pooled(sets: Iterable[Measured]) -> Values:
    pooled: Values = defaultdict(lambda: defaultdict(list))
    for measured in sets:
        for measure, by_mode in measured.values.items():
            for mode, values in by_mode.items():
                pooled[measure][mode] += values
    return pooled


def _is_never_worse(sets: Iterable[Measured]) -> bool:
    """Whether hybrid is on no set worse than one ranking alone by more than chance explains."""
    worse = [line for measured in sets for line in _losses(measured)]
    for line in worse:
        print(line)
    print("hybrid is never worse than one ranking alone:", "NO" if worse else "yes")
    return not worse


def _losses(measured: Measured) -> Iterator[str]:
    scores = measured.values["ndcg"]
    for alone in MODES[:2]:
        if compare(scores[alone], scores["hybrid"]).is_loss:
            yield f"{measured.corpus.name}: hybrid is worse than {alone} alone"


def _is_better_over_all(sets: Sequence[Measured]) -> bool:
    """Print all questions together; tell whether hybrid is better than either ranking alone."""
    scores = _pooled(sets)["ndcg"]
    documents = sum(len(it.corpus.documents) for it in sets)
    print(f"| **all questions** |  | {documents} | {len(scores['hybrid'])} |", *_cells(scores))
    gains = [compare(scores[alone], scores["hybrid"]) for alone in MODES[:2]]
    for alone, gain in zip(MODES, gains, strict=False):
        print(f"hybrid above {alone}: {_told(gain.difference)}")
    return all(gain.is_gain for gain in gains)


def _is_alike(english: Measured, korean: Measured) -> bool:
    """Print how the same questions do in two languages; tell whether they are within the bar."""
    first, other = english.values["hit@5"]["hybrid"], korean.values["hit@5"]["hybrid"]
    gain = compare(first, other).difference
    print(
        f"the same {len(first)} questions, hit@5: English {estimate(first).mean:.3f}, "
        f"Korean {estimate(other).mean:.3f}, difference {_told(gain)}"
    )
    return gain.mean >= -LANGUAGE_BAR


def _print_row(measured: Measured) -> None:
    corpus, scores = measured.corpus, measured.values["ndcg"]
    print(
        f"| {corpus.name} | {corpus.language} | {len(corpus.documents)} |"
        f" {len(corpus.questions)} |",
        *_cells(scores),
        flush=True,
    )


def _cells(scores: dict[Mode, list[float]]) -> Iterator[str]:
    for mode in MODES:
        found = estimate(scores[mode])
        yield f"{found.mean:.3f} ± {(found.high - found.low) / 2:.3f} |"


def _told(found: Estimate) -> str:
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def _print_hits(sets: Sequence[Measured]) -> None:
    """Print the share of questions with a right document among the first five, by language."""
    for language in ("en", "ko"):
        of_language = [it for it in sets if it.corpus.language == language]
        if not of_language:
            continue
        pooled = _pooled(of_language)
        told = ", ".join(
            f"{measure} {estimate(pooled[measure]['hybrid']).mean:.3f}"
            for measure in ("hit@5", "recall@10", "mrr")
        )
        print(f"hybrid, {language}: {told}")


def _print_worst(measured: Measured, most: int) -> None:
    """Print the questions whose right document came last, and what came first."""
    for miss in sorted(measured.misses, key=lambda it: -it.place)[:most]:
        print(f"{measured.corpus.name}, place {miss.place}: {miss.question}\n    {miss.first}")


if __name__ == "__main__":
    sys.exit(main())
