"""Bytes to text when nothing says how they were written."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.retriever.parsing.charsets import decode

KOREAN = "반품은 구매일로부터 14일 이내에 가능합니다.\n배송비는 고객이 부담합니다. (E-1042)\n" * 4
JAPANESE = "返品は購入日から14日以内に可能です。送料はお客様の負担となります。\n" * 6
GERMAN = "Die Rückgabe ist innerhalb von 14 Tagen möglich; Gebühren trägt der Käufer.\n" * 4


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp949", "euc-kr"])
def test_korean_is_read_however_it_was_written(charset: str) -> None:
    assert decode(KOREAN.encode(charset)) == KOREAN


@pytest.mark.parametrize("charset", ["utf-16-le", "utf-16-be"])
def test_two_byte_text_without_a_mark_is_read(charset: str) -> None:
    assert decode(KOREAN.encode(charset)) == KOREAN
    assert decode(GERMAN.encode(charset)) == GERMAN


@pytest.mark.parametrize("charset", ["latin-1", "cp1252"])
def test_western_text_is_read(charset: str) -> None:
    assert decode(GERMAN.encode(charset)) == GERMAN


@pytest.mark.parametrize("charset", ["shift_jis", "euc_jp"])
def test_japanese_is_read(charset: str) -> None:
    assert decode(JAPANESE.encode(charset)) == JAPANESE


@pytest.mark.parametrize("charset", ["utf-16-le", "utf-16-be"])
def test_the_order_of_two_bytes_is_told_by_the_spaces(charset: str) -> None:
    for text in ("大韓民國 헌법 第一條", "■ 표 ①②③ ㈜회사", "カタカナ テスト"):
        assert decode(text.encode(charset)) == text


def test_frames_and_bullets_do_not_make_a_text_foreign() -> None:
    text = "─│┌┐ 표 ■□●○ ①②③ ㈜회사 ℃ ㎡"
    assert decode(text.encode("cp949")) == text


def test_a_short_japanese_text_is_not_taken_for_a_western_one() -> None:
    assert decode("カタカナ テスト".encode("shift_jis")) == "カタカナ テスト"


@pytest.mark.parametrize("text", ["café", "L'été à Paris coûte 5 € déjà"])
def test_a_short_western_text_is_read(text: str) -> None:
    assert decode(text.encode("cp1252")) == text


def test_a_page_that_names_a_charset_which_does_not_fit_is_read_all_the_same() -> None:
    page = '<meta charset="windows-1252"><p>' + KOREAN
    assert decode(page.encode("cp949")) == page


@pytest.mark.parametrize("size", [64, 1000, 100_000])
def test_noise_is_no_text(size: int) -> None:
    noise = random.Random(size).randbytes(size)
    assert decode(noise) is None


@given(st.binary(max_size=400))
def test_any_bytes_are_text_or_not(content: bytes) -> None:
    text = decode(content)
    assert text is None or isinstance(text, str)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Co", "Cn"]), min_size=1))
def test_every_utf_8_text_is_read_back(text: str) -> None:
    assert decode(text.encode()) == text.removeprefix("\ufeff")
