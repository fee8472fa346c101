"""`inkstone data check` as a person runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli.main import app
from services.contracts.assistants import Profile
from services.contracts.datasets import DatasetReport
from tests.unit.domain.datasets.files import SYSTEM, chat, clean_rows, lines_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "행.jsonl"
    path.write_bytes(b"".join(lines_of(clean_rows())))
    return path


def check(*given: object) -> Result:
    return CliRunner().invoke(app, ["data", "check", *map(str, given)], env={"COLUMNS": "200"})


def test_a_clean_file_can_be_trained_on(file: Path) -> None:
    told = check(file)
    assert told.exit_code == 0
    assert "200 rows, 200 answers" in told.output
    assert "can be trained on" in told.output


def test_what_is_wrong_is_said_with_lines_and_mends(file: Path, tmp_path: Path) -> None:
    cases, profile = tmp_path / "cases.jsonl", tmp_path / "profile.json"
    cases.write_text('{"id": "1", "question": "서울 매장에 주전자 있나요?"}\n', "utf-8")
    profile.write_text(Profile(system="Be brief.").model_dump_json(), "utf-8")
    told = check(file, "--eval", cases, "--profile", profile)
    assert told.exit_code == 1
    assert "leaked_rows" in told.output
    assert "lines 2" in told.output
    assert "system_prompt_mismatch" in told.output
    assert "must not be trained on: 2 errors" in told.output


def test_an_accepted_error_lets_the_file_pass(file: Path, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text(Profile(system=SYSTEM + "!").model_dump_json(), "utf-8")
    assert check(file, "--profile", profile).exit_code == 1
    accepted = check(file, "--profile", profile, "--accept", "system_prompt_mismatch")
    assert accepted.exit_code == 0


def test_the_report_can_be_read_by_a_program(file: Path) -> None:
    file.write_bytes(b"".join(lines_of([*clean_rows(), chat("그다음은?", "미정")])))
    told = check(file, "--json")
    assert told.exit_code == 1
    report = DatasetReport.model_validate(json.loads(told.output))
    assert [(found.code, found.rows) for found in report.errors] == [("answer_placeholder", [201])]


def test_cases_without_a_question_are_refused_with_their_line(file: Path, tmp_path: Path) -> None:
    cases = tmp_path / "cases.jsonl"
    cases.write_text('{"question": "왜?"}\n{"id": "2"}\n', "utf-8")
    told = check(file, "--eval", cases)
    assert told.exit_code == 1
    assert "line 2: no question" in str(told.exception)
