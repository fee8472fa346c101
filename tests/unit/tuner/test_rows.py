"""Reading training rows: what is accepted and what is refused, by line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.tuner.datasets.rows import RowError, dataset_hash, read_file, rows_of
from tests.unit.tuner.conftest import row, write_lines


def test_rows_are_read_in_order_and_blank_lines_are_skipped(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "rows.jsonl", [row("언제요?", "1904년이에요 [1]"), row("?", "x")])
    path.write_text(path.read_text("utf-8").replace("\n", "\n\n"), "utf-8")
    assert [each.answer for each in rows_of(read_file(path))] == ["1904년이에요 [1]", "x"]


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n", "utf-8")
    with pytest.raises(RowError) as refusal:
        rows_of(read_file(path))
    assert refusal.value.code == "file_empty"


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        ({"prompt": [], "completion": row("q", "a")["completion"]}, "row_shape"),
        ({"messages": []}, "row_shape"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "row_shape"),
        (
            {**row("q", "a"), "completion": [{"role": "user", "content": "a"}]},
            "row_roles",
        ),
        (
            {**row("q", "a"), "prompt": [{"role": "system", "content": "s"}]},
            "row_roles",
        ),
    ],
)
def test_a_bad_row_names_its_line(tmp_path: Path, broken: dict[str, Any], code: str) -> None:
    path = write_lines(tmp_path / "rows.jsonl", [row("q", "a"), broken])
    with pytest.raises(RowError, match="Line 2") as refusal:
        rows_of(read_file(path))
    assert (refusal.value.code, refusal.value.line) == (code, 2)


def test_a_conversation_is_a_row_for_each_answer_that_is_trained(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "안녕"},
        {"role": "assistant", "content": "안녕하세요", "weight": 0},
        {"role": "user", "content": "둘은?"},
        {"role": "assistant", "content": "2입니다"},
        {"role": "user", "content": "셋은?"},
        {"role": "assistant", "content": "3입니다"},
    ]
    path = write_lines(tmp_path / "rows.jsonl", [{"messages": turns}, row("q", "a")])
    rows = rows_of(read_file(path))
    assert [(one.line, len(one.prompt), one.answer) for one in rows] == [
        (1, 3, "2입니다"),
        (1, 5, "3입니다"),
        (2, 1, "a"),
    ]


def test_text_that_is_not_json_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xff\xfe not json\n")
    with pytest.raises(RowError, match="Line 1"):
        rows_of(read_file(path))


def test_the_data_hash_changes_with_one_letter(tmp_path: Path) -> None:
    one = write_lines(tmp_path / "one.jsonl", [row("q", "a")])
    two = write_lines(tmp_path / "two.jsonl", [row("q", "b")])
    assert dataset_hash(one) != dataset_hash(two)
    assert dataset_hash(one) == dataset_hash(write_lines(tmp_path / "3.jsonl", [row("q", "a")]))
