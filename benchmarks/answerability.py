"""How well a search knows that it found an answer, and the fit of that estimate.

Every question is asked three times of the real retriever: as it is; without the documents that
answer it (a filter leaves them out, so that what remains is on the subject but holds no answer);
and of a collection about something else. The estimate should be high for the first alone.

    python benchmarks/answerability.py [--documents 300] [--questions 60] [--data DIR]

Prints, for each set, the area under the ROC curve (0.5 is chance) of similarity alone and of a
regression fitted to the *other* sets, then what the default threshold does; at last the
coefficients of the regression fitted to all sets, for `services/retriever/answerability.py`.
Needs scikit-learn, which sentence-transformers brings along.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable, Sequence
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

THRESHOLD = 0.3
"""Below it an assistant had better say that it does not know."""

UNFIT = ("cranfield", "multi-hop")
"""Sets whose other documents answer too, though nobody judged so: measured, never fitted to."""

Asked = dict[Kind, list[Evidence]]


@dataclass(frozen=True, slots=True)
class Measured:
    """One set's evidence."""

    corpus: Corpus
    asked: Asked


def main() -> int:
    """Ask, fit, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--models-dir", type=Path, help="where the prepared model is kept")
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--questions", type=int, default=60)
    chosen = parser.parse_args()
    corpora = read_sets(chosen.data, chosen.documents, chosen.questions)
    if len(corpora) < 2:
        print(f"Fewer than two sets are in {chosen.data}; nothing to measure.")
        return 0
    measured = asyncio.run(_measure(corpora, chosen.models_dir))
    print(
        "| set | AUC removed: similarity | AUC removed: fit | AUC foreign: fit | kept | "
        "removed left out | foreign left out |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    for one in measured:
        others = [it.asked for it in measured if it is not one and it.corpus.name not in UNFIT]
        _print_row(one, _fit(others))
    print(f"as shipped: {PACKAGED}")
    print("fitted now:", _fit([it.asked for it in measured if it.corpus.name not in UNFIT]))
    return 0


async def _measure(corpora: Sequence[Corpus], models_dir: Path | None) -> list[Measured]:
    async with open_knowledge_base(models_dir) as base:
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


def _print_row(one: Measured, fit: Fit) -> None:
    by_fit = {kind: [fit.probability(it) for it in found] for kind, found in one.asked.items()}
    similarities = {kind: [it.similarity for it in found] for kind, found in one.asked.items()}
    kept = np.mean([value >= THRESHOLD for value in by_fit["answered"]])
    left_out = {
        kind: np.mean([value < THRESHOLD for value in by_fit[kind]])
        for kind in ("removed", "foreign")
    }
    cells = [
        discrimination(similarities["answered"], similarities["removed"]),
        discrimination(by_fit["answered"], by_fit["removed"]),
        discrimination(by_fit["answered"], by_fit["foreign"]),
        kept,
        left_out["removed"],
        left_out["foreign"],
    ]
    print(f"| {one.corpus.name} |", *(f"{cell:.3f} |" for cell in cells), flush=True)


if __name__ == "__main__":
    sys.exit(main())
