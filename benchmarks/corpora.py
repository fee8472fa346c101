"""Public question sets for the benchmarks, read from a folder that is not part of this repository.

A set keeps the documents that answer its questions and fills up with others of the same set, so
that a small corpus is no easier than its size makes it. Sets that are not there are left out.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

DATA = Path(__file__).parents[2] / "shared" / "data"
"""Where the sets are looked for unless the command says."""

Row = dict[str, Any]
Answers = Callable[[Row], Iterable[object]]


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the documents that answer it."""

    text: str
    answers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents and questions about them."""

    name: str
    language: Literal["en", "ko"]
    documents: dict[str, tuple[str, str]]
    """Title and text by id."""
    questions: list[Question]


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Where a set lies and which of its fields say what."""

    name: str
    language: Literal["en", "ko"]
    documents: Sequence[str]
    """Files of documents; the questions are about the first."""
    questions: str
    answers: Answers
    ask: str = "question"
    title: str = "title"

    def read(self, folder: Path, most_documents: int, most_questions: int) -> Corpus | None:
        """Read a part of the set, the same one every time; none when its files are not there."""
        known: dict[str, tuple[str, str]] = {}
        number: dict[str, str] = {}
        for file in self.documents:
            for row in _rows(folder / file):
                # Ids of the sets may be addresses; a document's id has no slash.
                number.setdefault(str(row["id"]), name := f"d{len(known)}")
                known[name] = (row.get(self.title) or "", row["text"])
        questions = self._questions(folder, number)
        chance = random.Random(0)
        chance.shuffle(questions)
        asked: list[Question] = []
        kept: set[str] = set()
        for question in questions:
            if len(asked) < most_questions and len(kept | question.answers) <= most_documents:
                asked.append(question)
                kept |= question.answers
        others = sorted(known.keys() - kept)
        chance.shuffle(others)
        kept |= set(others[: most_documents - len(kept)])
        documents = {name: content for name, content in known.items() if name in kept}
        return Corpus(self.name, self.language, documents, asked) if asked else None

    def _questions(self, folder: Path, number: dict[str, str]) -> list[Question]:
        found = []
        for row in _rows(folder / self.questions):
            names = [str(name) for name in self.answers(row)]
            if names and all(name in number for name in names):
                found.append(Question(row[self.ask], frozenset(number[name] for name in names)))
        return found


def read_sets(folder: Path, most_documents: int, most_questions: int) -> list[Corpus]:
    """Read every set that is there."""
    read = (each.read(folder, most_documents, most_questions) for each in SETS)
    return [corpus for corpus in read if corpus is not None]


def _rows(path: Path) -> list[Row]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _passage(row: Row) -> list[str]:
    return [row["passage_id"]] if row.get("passage_id") and not row.get("is_impossible") else []


def _gold(row: Row) -> list[object]:
    return list(row["gold_ids"])


def _relevant(row: Row) -> list[object]:
    return list(row["relevant"])


SETS = (
    QuestionSet("korquad", "ko", ["korquad_dev_passages.jsonl"], "korquad_dev.jsonl", _passage),
    QuestionSet("ko-docs", "ko", ["ko_docs_corpus.jsonl"], "ko_docs_qa.jsonl", _gold),
    QuestionSet(
        "ko-welfare",
        "ko",
        ["ko_welfare_corpus.jsonl"],
        "ko_welfare_queries.jsonl",
        _gold,
        ask="query",
    ),
    QuestionSet(
        "squad",
        "en",
        ["squad_dev_passages.jsonl", "squad_distractor_passages.jsonl"],
        "squad_dev.jsonl",
        _passage,
    ),
    QuestionSet(
        "cranfield",
        "en",
        ["cranfield_corpus.jsonl"],
        "cranfield_queries.jsonl",
        _relevant,
        ask="query",
    ),
    QuestionSet(
        "product-docs",
        "en",
        ["productdocs_chunks.jsonl"],
        "productdocs_qa.jsonl",
        _gold,
        title="heading",
    ),
    QuestionSet(
        "multi-hop",
        "en",
        ["multihop_passages_hotpot_musique.jsonl"],
        "multihop_questions.jsonl",
        _gold,
    ),
)
"""Korean and English; encyclopaedia, business documents, abstracts and product documentation."""
