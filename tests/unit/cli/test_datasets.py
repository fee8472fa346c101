"""`inkstone data check` as a person runs it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from typer.testing import CliRunner, Result

from services.cli.failures import CommandError
from services.cli.main import app
from services.contracts.assistants import ContextTemplate, Profile
from services.contracts.datasets import DatasetReport
from tests.fakes.loopback import running
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


def test_a_case_with_a_number_of_too_many_digits_is_refused_with_its_line(
    file: Path, tmp_path: Path
) -> None:
    cases = tmp_path / "cases.jsonl"
    cases.write_text('{"question": ' + "7" * 5000 + "}\n", "utf-8")
    assert "line 1: no question" in str(check(file, "--eval", cases).exception)


def assistant(profile: Profile, retrieval: dict[str, Any] | None) -> dict[str, Any]:
    stable = {
        "id": "shop/1",
        "assistant": "shop",
        "number": 1,
        "created_at": 1,
        "created_by": "k",
        "profile": profile.model_dump(mode="json"),
        "profile_hash": "0" * 12,
        "retrieval": retrieval,
        "adapter": None,
        "evidence": "waived",
        "prompt_mismatch": False,
    }
    return {"id": "shop", "description": "", "stable": stable, "updated_at": 1, "version": 1}


async def checked_for(
    profile: Profile, retrieval: dict[str, Any] | None, *given: object
) -> DatasetReport:
    """Check for the assistant `shop` of a gateway, which serves with this."""

    async def reply(_: Request) -> JSONResponse:
        return JSONResponse(assistant(profile, retrieval))

    gateway = Starlette(routes=[Route("/admin/assistants/shop", reply)])
    async with running(gateway) as url:
        options = ("--assistant", "shop", "--json", "--url", url, "--key", "k")
        told = await asyncio.to_thread(check, *given, *options)
    return DatasetReport.model_validate(json.loads(told.output))


@pytest.mark.anyio
async def test_an_assistant_tells_its_system_text(file: Path) -> None:
    right = await checked_for(Profile(system=SYSTEM), None, file)
    assert [found.code for found in right.findings] == ["few_rows"]
    other = await checked_for(Profile(system="Be brief."), None, file)
    assert [found.code for found in other.errors] == ["system_prompt_mismatch"]


@pytest.mark.anyio
async def test_an_assistant_tells_whether_it_retrieves_and_how_it_labels_a_question(
    tmp_path: Path,
) -> None:
    template = ContextTemplate(passages_label="참고 자료:", question_label="질문:")
    file, cases = tmp_path / "rows.jsonl", tmp_path / "cases.jsonl"
    asked = "참고 자료:\n[1] 문\n아홉 시에 엽니다.\n\n질문: 언제 열어요?"
    file.write_bytes(b"".join(lines_of([*clean_rows(), chat(asked, "아홉 시에요.")])))
    cases.write_text('{"question": "언제 열어요?"}\n', "utf-8")
    profile, retrieval = Profile(system=SYSTEM, context=template), {"collections": ["handbook"]}
    report = await checked_for(profile, retrieval, file, "--eval", cases)
    rows = {found.code: found.rows for found in report.findings}
    assert rows["leaked_rows"] == [201]
    assert "no_passages" in rows


def test_a_profile_beside_an_assistant_is_refused(file: Path, tmp_path: Path) -> None:
    told = check(file, "--profile", tmp_path / "profile.json", "--assistant", "shop")
    assert isinstance(told.exception, CommandError)
    assert str(told.exception).startswith("Name either --profile or --assistant")
