"""The files that `benchmarks/ladder.py` writes from real data sets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from services.contracts.assistants import Profile
from services.contracts.evaluation_cases import EvaluationCase

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "ladder.py"


def _lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def _write(file: Path, objects: list[dict[str, object]]) -> None:
    file.write_text("\n".join(json.dumps(one, ensure_ascii=False) for one in objects), "utf-8")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ladder")
    for part, count in (("test", 40), ("train", 1300)):
        reviews: list[dict[str, object]] = [
            {"text": f"영화 {part} {n}", "label": n % 2, "rating": 1 + 9 * (n % 2)}
            for n in range(count)
        ]
        # A review that stands in both splits, and one that stands twice.
        reviews += [{"text": "영화 test 0", "label": 0, "rating": 1}, reviews[0]]
        _write(folder / f"nsmc_{part}.jsonl", reviews)
    said: list[dict[str, object]] = [
        {"dialogue": n // 2, "informal": f"{n}번 먹어.", "formal": f"{n}번 드세요."}
        for n in range(120)
    ]
    said += [{"dialogue": n, "informal": "안녕.", "formal": "안녕하세요."} for n in range(60)]
    _write(folder / "korean_smile_style.jsonl", said)
    command = [sys.executable, str(BENCHMARK), "--data", str(folder), "--to", str(folder)]
    done = subprocess.run([*command, "--cases", "20"], check=True, capture_output=True, text=True)
    assert "sst2 is skipped" in done.stdout
    return folder


@pytest.mark.parametrize("task", ["nsmc", "form", "voice"])
def test_every_case_and_the_profile_are_what_a_ladder_takes(written: Path, task: str) -> None:
    cases = [EvaluationCase.model_validate(one) for one in _lines(written / f"{task}.cases.jsonl")]
    assert len({case.id for case in cases}) == 20
    Profile.model_validate_json((written / f"{task}.profile.json").read_bytes())


@pytest.mark.parametrize("task", ["nsmc", "form", "voice"])
def test_no_training_row_asks_what_a_case_asks(written: Path, task: str) -> None:
    asked = {str(case["question"]) for case in _lines(written / f"{task}.cases.jsonl")}
    rows = _lines(written / f"{task}.train.jsonl")
    trained = {json.dumps(row["messages"], ensure_ascii=False) for row in rows}
    assert trained
    assert not [one for one in trained for text in asked if f'"{text}"' in one]


def test_the_answers_to_the_form_meet_the_schema_that_its_cases_hold_them_to(
    written: Path,
) -> None:
    import jsonschema

    case = EvaluationCase.model_validate(_lines(written / "form.cases.jsonl")[0])
    schema = next(one for one in case.checks if one.kind == "json_schema").json_schema
    for row in _lines(written / "form.train.jsonl"):
        messages = row["messages"]
        assert isinstance(messages, list)
        jsonschema.validate(json.loads(messages[-1]["content"]), schema)


def test_the_style_classifier_learns_from_nothing_that_is_asked_or_trained(written: Path) -> None:
    styled = {str(one["text"]) for one in _lines(written / "voice.styles.jsonl")}
    asked = {str(case["question"]) for case in _lines(written / "voice.cases.jsonl")}
    rows = (written / "voice.train.jsonl").read_text("utf-8")
    assert not styled & asked
    assert not [text for text in styled if f'"{text}"' in rows]
