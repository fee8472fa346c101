"""The data set gate: every planted defect is found, and a clean file is let through."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from services.contracts.assistants import ExampleTurn, Profile
from services.contracts.datasets import DatasetPolicy
from services.domain.datasets.gate import Surroundings, checked
from services.domain.datasets.prompts import system_of
from tests.unit.domain.datasets.files import SYSTEM, chat, clean_rows, report_of

Rows = list[Any]
LONG = "The workshop on the harbour road repairs any kettle within ten days and lends another."
LONG_KO = "항구 길의 공방에서는 어떤 주전자든 열흘 안에 고쳐 드리고 쓰실 것을 무료로 빌려 드립니다."


def codes(rows: Rows, **settings: Any) -> dict[str, str]:
    """Each finding's severity by its code, of a file that is large enough."""
    settings = {"rows_advised": 1, **settings}
    return {found.code: found.severity for found in report_of(rows, **settings).findings}


def test_nothing_is_said_of_a_clean_file() -> None:
    around = Surroundings(judged=["Where is the harbour?", "공방은 어디예요?"], system=SYSTEM)
    report = report_of(clean_rows(), around, rows_advised=100)
    assert report.findings == []
    assert (report.rows, report.trained_answers, report.tokens) == (200, 200, None)


def plant(*rows: Any) -> Callable[[Rows], Rows]:
    return lambda clean: [*clean[:50], *rows, *clean[50:]]


@pytest.mark.parametrize(
    ("defect", "code", "severity"),
    [
        (plant('{"messages": ['), "row_not_json", "error"),
        (plant("[1, 2]"), "row_shape", "error"),
        (plant({"text": "hello"}), "row_shape", "error"),
        (plant({"messages": [{"role": "robot", "content": "x"}]}), "row_shape", "error"),
        (plant({"messages": [{"role": "user", "content": None}]}), "row_shape", "error"),
        (plant({"messages": [{"role": "user", "content": "둘?"}]}), "row_without_answer", "error"),
        (
            plant({"messages": [{"role": "assistant", "content": "hello"}]}),
            "row_roles",
            "error",
        ),
        (
            plant({"messages": [*chat("a?", "b")["messages"], {"role": "system", "content": "s"}]}),
            "row_roles",
            "error",
        ),
        (
            plant({"messages": [*chat("a?", "b")["messages"], {"role": "user", "content": "c?"}]}),
            "row_ends_unanswered",
            "warning",
        ),
        (lambda clean: clean[:20], "too_few_rows", "error"),
        (lambda _: [], "file_empty", "error"),
        (lambda _: [chat(f"{n}?", "예.") for n in range(90)], "one_answer_only", "error"),
        (plant(*clean_rows()[:5]), "duplicate_rows", "warning"),
        (lambda clean: [*clean, *clean], "duplicate_rows", "error"),
        (plant(chat("IS the  kettle sold in Bristol?", "No.")), "conflicting_answers", "warning"),
        (
            lambda clean: [*clean, *(chat(row["messages"][1]["content"], "?!") for row in clean)],
            "conflicting_answers",
            "error",
        ),
        (
            plant(
                chat(LONG + " Is that right?", "It is, and the loan costs nothing at all."),
                chat(LONG + " Is that right!", "It is, and the loan costs nothing at all!"),
            ),
            "near_duplicate_rows",
            "warning",
        ),
        (
            plant(
                chat(LONG_KO, "맞습니다, 무료로 고쳐 드려요"),
                chat(LONG_KO + "!", "맞습니다, 무료로 고쳐 드려요."),
            ),
            "near_duplicate_rows",
            "warning",
        ),
        (plant(chat("And then?", "  ")), "answer_empty", "error"),
        (plant(chat("And then?", "TODO")), "answer_placeholder", "error"),
        (plant(chat("그다음은?", "추후 작성 예정")), "answer_placeholder", "error"),
        (plant(chat("And then?", "Dear {{customer_name}}, yes.")), "template_leftover", "warning"),
        (plant(chat("그다음은?", "占쏙옙占쏙옙 입니다")), "broken_text", "error"),
        (plant(chat("Caf\ufffd?", "Yes.")), "broken_text", "error"),
        (plant(chat("그대로 말해?", "그대로 말해?")), "answer_repeats_question", "warning"),
        (plant(chat("영업 시간이 어떻게 되나요?", "We open at nine.")), "language_mix", "warning"),
        (plant(chat("And then?", " Then it rains.\n")), "answer_padded", "warning"),
        (
            plant(chat("Passages:\n[1] Hours\nOpen from 9.\n\nQuestion: Phone?", "Call 4471 [1].")),
            "numbers_not_in_passages",
            "warning",
        ),
        (plant(chat("a?", "b", "Be rude.")), "several_system_prompts", "warning"),
        (plant(chat("Key?", "It is sk-proj-" + "a1B2" * 8)), "secret_found", "error"),
        (plant(chat("접속?", "postgres://app:pa55w0rd@db/shop 입니다")), "secret_found", "error"),
        (plant(chat("로그인?", "비밀번호: tiger2021!")), "password_found", "warning"),
        (plant(chat("번호?", "901231-1234563입니다")), "personal_number", "error"),
        (plant(chat("아기?", "210305-3000000입니다")), "personal_number", "error"),
        (plant(chat("Card?", "4111 1111 1111 1111")), "personal_number", "error"),
        (plant(chat("연락처?", "010-1234-5678로 전화 주세요")), "contact_details", "warning"),
    ],
)
def test_a_planted_defect_is_found(
    defect: Callable[[Rows], Rows], code: str, severity: str
) -> None:
    assert code not in codes(clean_rows())
    assert codes(defect(clean_rows())).get(code) == severity


def test_a_finding_names_the_lines_and_the_mend() -> None:
    rows = clean_rows()
    rows[11], rows[30] = chat("그다음은?", "미정"), chat("Next?", "N/A")
    (found,) = report_of(rows, rows_advised=1).findings
    assert (found.code, found.rows, found.count) == ("answer_placeholder", [12, 31], 2)
    assert found.mend.endswith(".")


def test_a_finding_of_a_secret_does_not_repeat_it() -> None:
    rows = [*clean_rows(), chat("Key?", "It is AKIAABCDEFGHIJKLMNOP")]
    told = report_of(rows).model_dump_json()
    assert "secret_found" in told
    assert "AKIA" not in told


def test_numbers_with_a_wrong_check_digit_are_no_personal_numbers() -> None:
    rows = [*clean_rows(), chat("번호?", "901231-1234564, 4111 1111 1111 1112")]
    assert codes(rows) == {}


def test_numbers_that_the_passages_have_are_supported() -> None:
    asked = "Passages:\n[1] Price\nIt costs 1,200 won.\n\nQuestion: Price?"
    assert codes([*clean_rows(), chat(asked, "It costs 1200 won [1].")]) == {}


def test_questions_of_the_evaluation_set_must_not_be_trained() -> None:
    rows = [*clean_rows(), chat(LONG, "Yes, it does."), chat("공방은 어디예요?", "항구 길이에요.")]
    judged = [LONG.replace("ten days", "six days"), "공방은  어디예요?"]
    found = {one.code: one for one in report_of(rows, Surroundings(judged=judged)).findings}
    assert (found["leaked_rows"].severity, found["leaked_rows"].rows) == ("error", [202])
    assert found["nearly_leaked_rows"].rows == [201]


def test_an_instruction_that_all_questions_share_makes_them_no_duplicates() -> None:
    task = "Classify the following review of a film as positive or negative, in a single word:\n"
    words = ("dull", "warm", "slow", "bright", "loud", "odd", "kind", "flat", "sharp", "sweet")
    rows = [
        chat(f"{task}{one} and {other}, {n}", "positive" if n % 2 else "negative")
        for n, (one, other) in enumerate((a, b) for a in words for b in words if a != b)
    ]
    assert codes(rows) == {}


def test_the_system_text_must_be_the_one_that_serves() -> None:
    profile = Profile(
        system="Be kind.", reasoning="cot", few_shot=[ExampleTurn(user="a", assistant="b")]
    )
    serving = system_of(profile)
    assert serving.startswith("Be kind.")
    assert len(serving) > len("Be kind.")
    rows = [*clean_rows()[:150], *(chat(f"{n}?", f"{n}!", serving) for n in range(60))]
    found = {one.code: one for one in report_of(rows, Surroundings(system=serving)).findings}
    assert found["system_prompt_mismatch"].severity == "error"
    assert found["system_prompt_mismatch"].count == 150


def test_rows_without_passages_are_told_where_the_assistant_retrieves() -> None:
    around = Surroundings(grounded=True)
    assert [one.code for one in report_of(clean_rows(), around, rows_advised=1).findings] == [
        "no_passages"
    ]


def test_labels_have_one_spelling_and_enough_rows() -> None:
    rows = [chat(f"review {n} of a film", "positive", None) for n in range(60)]
    rows += [chat(f"{n}번째 영화평", "negative", None) for n in range(60)]
    rows += [chat("other", "Positive.", None), chat("different", "neutral", None)]
    found = {one.code: one for one in report_of(rows, rows_advised=1).findings}
    assert found["label_spellings"].rows == [121]
    assert found["rare_labels"].rows == [122]
    uneven = [chat(f"{n} stars", "good", None) for n in range(99)] + [chat("?", "bad", None)] * 5
    assert "labels_uneven" in codes(uneven)


def test_rows_longer_than_the_limit_are_an_error() -> None:
    def words(turns: Any, answer: str) -> int:
        return sum(len(turn.content.split()) for turn in turns) + len(answer.split())

    rows = [*clean_rows(), chat("word " * 40, "yes")]
    report = report_of(rows, Surroundings(counter=words), max_tokens=30)
    assert [one.rows for one in report.findings if one.code == "row_too_long"] == [[201]]
    assert report.longest == 49
    assert report.tokens is not None
    assert report.tokens > report.longest * 20


def test_an_error_that_was_looked_at_is_a_warning_but_lost_rows_never_are() -> None:
    rows = [*clean_rows()[:20], '{"messages": [']
    accepted = ["too_few_rows", "row_not_json"]
    assert codes(rows, accepted=accepted) == {"too_few_rows": "warning", "row_not_json": "error"}


def test_a_prompt_s_own_answers_are_not_trained() -> None:
    shown = [
        {"role": "user", "content": "1?"},
        {"role": "assistant", "content": "TODO"},
        {"role": "user", "content": "2?"},
    ]
    row = {"prompt": shown, "completion": [{"role": "assistant", "content": "둘."}]}
    report = report_of([row], accepted=["too_few_rows"])
    assert (report.rows, report.trained_answers) == (1, 1)
    assert not report.errors


def test_lines_in_another_encoding_or_with_a_byte_order_mark_are_told_apart() -> None:
    row = json.dumps(chat("안녕?", "네."), ensure_ascii=False)
    lines = [b"\xef\xbb\xbf" + row.encode(), row.encode("cp949"), b"[" * 100_000]
    report = checked(lines, Surroundings(), DatasetPolicy())
    assert report.rows == 1
    (broken,) = [one for one in report.errors if one.code == "row_not_json"]
    assert broken.rows == [2, 3]
    assert "line 3, the line is nested too deeply" in broken.message


def test_a_number_of_too_many_digits_is_a_line_that_cannot_be_read() -> None:
    report = report_of([*clean_rows(), '{"messages": ' + "7" * 5000 + "}"])
    (broken,) = report.errors
    assert (broken.code, broken.rows) == ("row_not_json", [201])
    assert broken.message == "a number has too many digits"


def test_thousands_of_broken_lines_are_one_finding_that_names_the_first() -> None:
    rows = ['{"messages": [{"content": "' + "x" * n + '" quoted" }]}' for n in range(3000)]
    (broken,) = [one for one in report_of(rows).findings if one.code == "row_not_json"]
    assert broken.count == 3000
    assert broken.rows == list(range(1, 21))
    assert len(broken.message) < 400
    assert broken.message.startswith("line 1, column 30: ")
    assert "line 2, column 31: " in broken.message
    assert broken.message.endswith("; and others")
