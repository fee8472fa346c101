"""The pages of a PDF."""

from __future__ import annotations

import pytest

from services.retriever.parsing.pages import page_texts


@pytest.mark.parametrize(
    ("line", "marked"),
    [
        ("제1장 총칙", "## 제1장 총칙"),
        ("제 2 절 휴가", "### 제 2 절 휴가"),
        ("제21조 경기개시 시간", "##### 제21조 경기개시 시간"),
        ("제3조의2(특례)", "##### 제3조의2(특례)"),
        ("제5조【위약금】", "##### 제5조【위약금】"),
        ("Chapter 3", "## Chapter 3"),
        ("PART II. OTHER INFORMATION", "## PART II. OTHER INFORMATION"),
        ("Item 1A. Risk Factors", "### Item 1A. Risk Factors"),
        ("2.3 배송 기간", "### 2.3 배송 기간"),
        ("2.3.1 Delivery times", "#### 2.3.1 Delivery times"),
        ("Ⅲ. 결론", "## Ⅲ. 결론"),
    ],
)
def test_a_numbered_heading_is_marked(line: str, marked: str) -> None:
    (text,) = page_texts([f"앞\n{line}\n뒤"])
    assert f"\n{marked}\n" in text


@pytest.mark.parametrize(
    "line",
    [
        "제3조에 따라 회사는 고객에게 알린다.",
        "제3조 및 제4조에 따른 통지",
        "제1조 목적 ............ 3",
        "제2장 휴가 12",
        "제1호 서식",
        "Section 5 of the Act applies",
        "Item 2. Properties 14",
        "Note that this is prose",
        "Part of the contract",
        "2.5 million shares were sold.",
        "1.25 2.50 3.75",
        "1. 야간 조명시설이 없는 구장",
        "회사는 제2조 제1항의 고객을",
    ],
)
def test_what_only_begins_like_a_heading_is_none(line: str) -> None:
    (text,) = page_texts([f"앞\n{line}\n뒤"])
    assert "#" not in text


def test_the_text_of_an_article_may_follow_on_its_line() -> None:
    (text,) = page_texts(["제1조(목적) 이 규정은 휴가를 정한다."])
    assert text.strip() == "##### 제1조(목적)\n\n이 규정은 휴가를 정한다."


def test_a_title_that_runs_over_every_page_is_no_heading() -> None:
    pages = page_texts([f"제1장 총칙\n본문 {n}" for n in "가나다라"])
    assert not any("#" in page for page in pages)


@pytest.mark.parametrize("number", ["12", "- 12 -", "12 / 30", "[3]"])
def test_a_pages_number_is_no_text(number: str) -> None:
    assert page_texts([f"본문\n2024\n{number}", f"{number}\n본문"]) == ["본문\n2024", "본문"]


def test_a_comment_in_printed_code_is_no_heading() -> None:
    assert page_texts(["x = 1\n# comment"]) == ["x = 1\n\\# comment"]
