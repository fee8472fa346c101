"""Words, sentences and numbers in both languages."""

from __future__ import annotations

import pytest

from services.domain.evaluation.texts import normalised, numbers, sentences, tokens, without_markers


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("3만 5천 원입니다.", [35_000]),
        ("2억 3천만 5백", [230_000_500]),
        ("1,250.5 kg", [1250.5]),
        ("-3도에서 10%까지", [-3, 10]),
        ("12월 3일", [12, 3]),
        ("3.5만 명", [35_000]),
        ("The K2 has 0.9 litres.", [0.9]),
        ("천만에요", []),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, wanted: list[float]) -> None:
    assert numbers(text) == pytest.approx(wanted)


def test_sentences_keep_the_markers_behind_them() -> None:
    text = "물은 0.9 L입니다 [1]. 식초는 쓰지 마세요. [2][3] 끝! See e.g. Dr. Kim.\n3. Third\n\n---"
    assert sentences(text) == [
        "물은 0.9 L입니다 [1].",
        "식초는 쓰지 마세요. [2][3]",
        "끝!",
        "See e.g. Dr. Kim.",
        "3. Third",
    ]


def test_normalising_forgets_case_width_signs_and_markers() -> None:
    assert normalised("  네, ＡＢＣ 맞습니다! [1, 2]") == normalised("네 abc 맞습니다")
    assert normalised("C++") != normalised("C--x")
    assert without_markers("오늘 [1] 갑니다 [2].") == "오늘 갑니다."


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("-5", "5"),
        ("영하 -5도", "영하 5도"),
        ("-$5", "$5"),
        ("1.5배", "15배"),
        ("1.5", "1,5"),
        (".5", "5"),
        ("C++", "C#"),
        ("C++입니다", "C입니다"),
        ("18+", "18"),
        ("A-", "A"),
        ("○", "×"),
        ("+", "-"),
        ("[1]", "[2]"),
    ],
)
def test_signs_that_make_another_answer_stay(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("(-5)", "−5."),
        ("+5", "5"),
        ("2024.05.01.", "2024-05-01"),
        ("10-15일", "10~15일"),
        ("- 사과", "사과"),
        ("Is it C++?", "is it c++"),
        ("e-mail", "e mail"),
        ("○.", "○"),
    ],
)
def test_signs_that_only_part_words_are_forgotten(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


def test_hangul_is_compared_by_the_syllable_and_latin_by_the_word() -> None:
    found = tokens("환불은 14일, Refund-Policy 1.5")
    assert found == ["환", "불", "은", "14", "일", "refund", "policy", "1.5"]
