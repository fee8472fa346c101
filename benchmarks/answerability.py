"""How well a search knows that it found an answer, and the fit of that estimate.

Every question is asked three times of the real retriever: as it is; without the documents that
answer it (a filter leaves them out, so that what remains is on the subject but holds no answer);
and of a collection about something else. The estimate should be high for the first alone.

    python benchmarks/answerability.py [--documents 300] [--questions 60] [--data DIR]

Prints, for each set, the area under the ROC curve (0.5 is chance) of similarity alone and of a
regression fitted to the sets of the *other* language; then, for each language, what a threshold
keeps and leaves out, by that regression and as shipped; at last the coefficients of the regression
fitted to all sets, for `services/retriever/answerability.py`.
Needs scikit-learn, which sentence-transformers brings along.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from corpora import DATA, Corpus, Question, read_sets
from knowledge_base import KnowledgeBase, open_knowledge_base
from sklearn.linear_model import LogisticRegression

from services.domain.relevance import discrimination
from services.retriever.answerability import LOOKED_AT, PACKAGED, Evidence, Fit, evidence_of

Kind = Literal["answered", "removed", "foreign"]
WEIGHTS: dict[Kind, float] = {"answered": 0.5, "removed": 0.25, "foreign": 0.25}
"""What each kind counts in the fit, all its questions together."""

THRESHOLDS = (0.1, 0.2, 0.3, 0.5)
"""Below it an assistant had better say that it does not know."""

UNFIT = ("cranfield", "multi-hop")
"""Sets whose other documents answer too, though nobody judged so: measured, never fitted to."""

Asked = dict[Kind, list[Evidence]]


@dataclass(frozen=True, slots=True)
class Measured:
    """One set's evidence."""

    corpus: Corpus
    asked: Asked

    @property
    def is_fit(self) -> bool:
        """Whether a regression may learn from it."""
        return self.corpus.name not in UNFIT


def main() -> int:
    """Ask, fit, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--models-dir", type=Path, help="where the prepared model is kept")
    parser.add_argument("--vectors", type=Path, help="a file that remembers passages' vectors")
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--questions", type=int, default=60)
    chosen = parser.parse_args()
    corpora = read_sets(chosen.data, chosen.documents, chosen.questions)
    if len({corpus.language for corpus in corpora if corpus.name not in UNFIT}) < 2:
        print(f"Not both languages are in {chosen.data}; nothing to measure.")
        return 0
    measured = asyncio.run(_measure(corpora, chosen.models_dir, chosen.vectors))
    _print_sets(measured)
    _print_thresholds(measured)
    print(f"as shipped: {PACKAGED}")
    print("fitted now:", _fit(it.asked for it in measured if it.is_fit))
    return 0


async def _measure(
    corpora: Sequence[Corpus], models_dir: Path | None, vectors: Path | None
) -> list[Measured]:
    async with open_knowledge_base(models_dir, vectors=vectors) as base:
        for corpus in corpora:
            await base.fill(corpus)
        found = []
        for at, corpus in enumerate(corpora):
            # The next set of another language or the next at all: about something else.
            foreign = corpora[(at + 1) % len(corpora)]
            found.append(Measured(corpus, await _ask(base, corpus, foreign)))
        return found


async def _ask(base: KnowledgeBase, corpus: Corpus, foreign: Corpus) -> Asked:
    asked: Asked = {"answered": [], "removed": [], "foreign": []}
    for question in corpus.questions:
        without = {"type": "nin", "key": "name", "value": sorted(question.answers)[:60]}
        asked["answered"] += await _evidence(base, question, corpus.name)
        asked["removed"] += await _evidence(base, question, corpus.name, filter=without)
        asked["foreign"] += await _evidence(base, question, foreign.name)
    return asked


async def _evidence(
    base: KnowledgeBase, question: Question, collection: str, **fields: object
) -> list[Evidence]:
    result = await base.search(question.text, collection, top_k=LOOKED_AT, **fields)
    contexts = [
        ("\n".join([one.title, *one.headings, one.text]), one.similarity) for one in result.data
    ]
    evidence = evidence_of(question.text, contexts)
    return [] if evidence is None else [evidence]


def _fit(sets: Iterable[Asked]) -> Fit:
    rows, right, weights = [], [], []
    for asked in sets:
        for kind, found in asked.items():
            rows += [[it.similarity, it.margin, it.coverage] for it in found]
            right += [kind == "answered"] * len(found)
            weights += [WEIGHTS[kind] / len(found)] * len(found)
    values = np.asarray(rows)
    centre, scale = values.mean(axis=0), values.std(axis=0)
    scaled = np.asarray(weights) * len(weights) / sum(weights)
    model = LogisticRegression(C=10).fit((values - centre) / scale, right, sample_weight=scaled)
    slopes = model.coef_[0] / scale
    constant = float(model.intercept_[0] - (slopes * centre).sum())
    return Fit(round(constant, 2), *(round(float(slope), 2) for slope in slopes))


def _held_out(language: str, measured: Sequence[Measured]) -> Fit:
    """Fit to the other language."""
    return _fit(it.asked for it in measured if it.is_fit and it.corpus.language != language)


def _print_sets(measured: Sequence[Measured]) -> None:
    print("| set | AUC removed: similarity | AUC removed: fit | AUC foreign: fit |")
    print("|---|---:|---:|---:|")
    for one in measured:
        fit = _held_out(one.corpus.language, measured)
        by_fit = {kind: [fit.probability(it) for it in found] for kind, found in one.asked.items()}
        alike = {kind: [it.similarity for it in found] for kind, found in one.asked.items()}
        cells = [
            discrimination(alike["answered"], alike["removed"]),
            discrimination(by_fit["answered"], by_fit["removed"]),
            discrimination(by_fit["answered"], by_fit["foreign"]),
        ]
        print(f"| {one.corpus.name} |", *(f"{cell:.3f} |" for cell in cells))


def _print_thresholds(measured: Sequence[Measured]) -> None:
    print("| language | threshold | fit | kept | removed left out | foreign left out |")
    print("|---|---:|---|---:|---:|---:|")
    for language in ("en", "ko"):
        sets = [it.asked for it in measured if it.is_fit and it.corpus.language == language]
        fits = {"other language": _held_out(language, measured), "shipped": PACKAGED}
        for threshold in THRESHOLDS:
            for name, fit in fits.items():
                cells = [f"{share:.2f} |" for share in _shares(sets, fit, threshold)]
                print(f"| {language} | {threshold} | {name} |", *cells)


def _shares(sets: Sequence[Asked], fit: Fit, threshold: float) -> Iterator[float]:
    """Give the share of answered questions kept, and of the others left out; sets count alike."""
    for kind in WEIGHTS:
        below = [
            float(np.mean([fit.probability(it) < threshold for it in asked[kind]]))
            for asked in sets
        ]
        share = float(np.mean(below))
        yield 1 - share if kind == "answered" else share


if __name__ == "__main__":
    sys.exit(main())
