"""Real data sets of classification, style and conversation pass the gate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.domain.datasets.files import chat, report_of

DATA = Path(__file__).parents[4].parent / "shared" / "data"


def rows_of(name: str) -> list[dict[str, Any]]:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{name} is not on this machine")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize(
    ("name", "question", "answer"),
    [
        ("nsmc_train.jsonl", "text", "label"),
        ("sst2_train.jsonl", "text", "label"),
        ("banking77_train.jsonl", "text", "label"),
        ("korean_smile_style.jsonl", "informal", "formal"),
        ("ko_chatbot_qa.jsonl", "question", "answer"),
        ("instruct_sample.jsonl", "instruction", "output"),
    ],
)
def test_a_clean_file_is_not_refused(name: str, question: str, answer: str) -> None:
    rows = [
        chat(str(row[question]), str(row[answer]), None)
        for row in rows_of(name)
        if str(row[question] or "").strip() and str(row[answer]).strip()
    ]
    report = report_of(rows)
    assert report.rows > 1000
    assert [f"{found.code}: {found.message}" for found in report.errors] == []


def test_clauses_of_several_categories_are_seen_to_contradict_one_another() -> None:
    """A fifth of these clauses stand under more than one category."""
    rows = [chat(row["clause"], row["category"], None) for row in rows_of("cuad_clauses.jsonl")]
    assert [found.code for found in report_of(rows).errors] == ["conflicting_answers"]
