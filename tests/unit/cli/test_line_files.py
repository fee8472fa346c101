"""Files of JSON lines: what is refused names the file, and how to mend it."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.cli.failures import CommandError
from services.cli.line_files import cases_of

CASE = '{"id": "a", "question": "언제?", "expected": "1904"}\n'


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_cases_are_read_with_and_without_a_byte_order_mark(tmp_path: Path, mark: str) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_text(mark + CASE, "utf-8")
    assert [(case.id, case.asked) for case in cases_of(file)] == [("a", "언제?")]


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_bytes(CASE.encode("cp949"))
    with pytest.raises(CommandError, match=r"cases\.jsonl is no text in UTF-8; save it as JSON"):
        cases_of(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"none\.jsonl cannot be read: No such file"):
        cases_of(tmp_path / "none.jsonl")


def test_a_line_that_is_no_case_is_named_with_its_file(tmp_path: Path) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_text(CASE + '{"id": "b"}\n', "utf-8")
    with pytest.raises(CommandError, match=r"cases\.jsonl, line 2: .*a `question` or `messages`"):
        cases_of(file)


def test_more_cases_than_may_be_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_text(CASE + CASE.replace('"a"', '"b"'), "utf-8")
    with pytest.raises(CommandError, match=r"cases\.jsonl, line 2: a set has at most 1 cases"):
        cases_of(file, most=1)
