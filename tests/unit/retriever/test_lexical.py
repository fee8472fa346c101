"""Words to sparse vectors."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.retriever.lexical import (
    PARTICLE_WEIGHT,
    passage_vector,
    question_vector,
    question_weights,
    tokens,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Return Policy", ["return", "policy"]),
        ("반품정책", ["반품", "품정", "정책"]),
        ("한 줄", ["한", "줄"]),
        ("서울에서 서울의", ["서울", "울에", "에서", "서울", "울의"]),
        ("東京都", ["東京", "京都"]),
        ("カード", ["カー", "ード"]),
        ("59,800원", ["59", "800", "원"]),
        ("E-1042", ["e-1042", "e", "1042"]),
        ("v2.3.1", ["v2.3.1", "v", "2", "3", "1"]),
        ("iPhone15", ["iphone15", "iphone", "15"]),
        ("2024년 3월", ["2024", "년", "3", "월"]),
        ("Ｆｕｌｌ ｗｉｄｔｈ", ["full", "width"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("user@example.com", ["user@example.com", "user", "example", "com"]),
        ("snake_case", ["snake_case", "snake", "case"]),
        ("?! … 🙂", []),
        ("", []),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


def test_composed_and_decomposed_hangul_are_the_same() -> None:
    assert tokens("각") == tokens("\u1100\u1161\u11a8")


@given(st.text())
def test_any_text_has_tokens_and_weights_an_index_takes(text: str) -> None:
    for vector in (passage_vector(text), question_vector(text)):
        assert len(vector.indices) == len(vector.values) == len(set(vector.indices))
        assert all(0 <= index < 2**32 for index in vector.indices)
        assert all(value > 0 for value in vector.values)


def weight(text: str, word: str) -> float:
    (index,) = question_vector(word).indices
    vector = passage_vector(text)
    return dict(zip(vector.indices, vector.values, strict=True)).get(index, 0.0)


def test_repeating_a_word_counts_less_each_time() -> None:
    once, twice, often = (weight("apple " * n, "apple") for n in (1, 2, 50))
    assert once < twice < often < 2.2
    assert twice - once < once


def test_the_same_word_counts_less_in_a_longer_passage() -> None:
    assert weight("apple", "apple") > weight("apple " + "pear " * 300, "apple") > 0


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("How do I return an apple?", "return apple"),
        ("사과 어떻게 반품하나요", "사과 반품 품하"),
        ("사과 반품 언제 하나요?", "사과 반품"),
    ],
)
def test_a_question_leaves_out_what_every_question_says(question: str, told: str) -> None:
    assert question_vector(question) == question_vector(told)


def test_a_question_of_common_words_only_keeps_them() -> None:
    assert len(question_vector("to be or not to be").indices) == 4


def test_a_question_counts_each_word_once() -> None:
    assert question_vector("apple apple pear") == question_vector("apple pear")


def test_what_reaches_into_a_particle_counts_less() -> None:
    assert 0 < PARTICLE_WEIGHT < 1
    assert question_weights("신청은 며칠") == {"신청": 1, "청은": PARTICLE_WEIGHT}
    assert question_weights("달빛공방에서는") == {
        "달빛": 1,
        "빛공": 1,
        "공방": 1,
        "방에": PARTICLE_WEIGHT,
        "서는": PARTICLE_WEIGHT,
    }


def test_a_pair_that_stands_whole_elsewhere_in_the_question_counts_whole() -> None:
    assert question_weights("신청은 청은")["청은"] == 1


def test_a_short_word_that_ends_like_a_particle_is_whole() -> None:
    assert question_weights("회의 나이") == {"회의": 1, "나이": 1}


def test_particles_are_found_in_decomposed_hangul_too() -> None:
    decomposed = unicodedata.normalize("NFD", "신청은")
    assert question_vector(decomposed) == question_vector("신청은")
