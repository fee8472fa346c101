"""Data sets and configurations of a retrieval evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.evaluation.cases import read_cases as read_held_out_cases
from services.cli.failures import CommandError
from services.cli.retrieval_cases import configuration_of, read_cases


def written(folder: Path, *lines: str) -> Path:
    file = folder / "cases.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


GOOD = '{"id": "1", "question": "환불은?", "relevant": ["refunds"], "tags": ["ko"]}'


def test_a_line_is_a_case_and_empty_lines_are_none(tmp_path: Path) -> None:
    (case,) = read_cases(written(tmp_path, GOOD, "", "  "))
    assert (case.question, case.relevant, case.tags) == ("환불은?", ["refunds"], ["ko"])


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("not json", "line 2"),
        ('{"id": "2", "question": "q", "relevant": []}', "relevant"),
        ('{"id": "2", "question": "", "relevant": ["a"]}', "question"),
        ('{"id": "2", "question": "q", "relevant": ["a"], "relevnt": 1}', "relevnt"),
        (GOOD, "the id '1' stands twice"),
    ],
)
def test_a_bad_line_is_named_with_what_is_wrong(tmp_path: Path, bad: str, told: str) -> None:
    with pytest.raises(CommandError, match="line 2") as error:
        read_cases(written(tmp_path, GOOD, bad))
    assert told in str(error.value)


def test_a_file_without_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="holds no cases"):
        read_cases(written(tmp_path, ""))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"nowhere\.jsonl cannot be read: No such file"):
        read_cases(tmp_path / "nowhere.jsonl")
    with pytest.raises(CommandError, match="cannot be read: Is a directory"):
        read_cases(tmp_path)


def test_a_file_in_another_encoding_is_told_to_be_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_bytes(GOOD.encode("cp949"))
    with pytest.raises(CommandError, match="save it as JSON lines in UTF-8"):
        read_cases(file)


def test_a_byte_order_mark_and_unicode_line_separators_do_no_harm(tmp_path: Path) -> None:
    (case,) = read_cases(written(tmp_path, "\ufeff" + GOOD.replace("환불은?", "환불은\u2028며칠?")))
    assert case.question == "환불은\u2028며칠?"


def test_a_configuration_is_fields_of_a_search() -> None:
    assert configuration_of("").fields == {}
    found = configuration_of("mode=dense, diversity=0.3,expand=section")
    assert found.fields == {"mode": "dense", "diversity": 0.3, "expand": "section"}
    weighed = configuration_of("dense=2,lexical=0.5")
    assert weighed.fields == {"weights": {"dense": 2.0, "lexical": 0.5}}


@pytest.mark.parametrize(
    "text", ["mode=magic", "speed=9", "mode", "top_k=3", "query=x", "dense=-1", "diversity=2"]
)
def test_a_configuration_that_is_no_search_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match=text.partition("=")[0]):
        configuration_of(text)


def test_the_examples_ask_what_the_held_out_cases_ask() -> None:
    folder = Path(__file__).parents[3] / "examples" / "evaluation"
    held_out = {case.id: case for case in read_held_out_cases() if case.answerable}
    cases = {case.id: case for case in read_cases(folder / "retrieval.jsonl")}
    assert cases.keys() == held_out.keys()
    for name, case in cases.items():
        other = held_out[name]
        assert (case.question, case.answers) == (other.question, other.accepted)
        assert (case.relevant, case.tags) == (other.documents, [other.lang])
