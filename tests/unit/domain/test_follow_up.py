"""Follow-up questions: told from new ones, and joined with what they lean on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.follow_up import (
    LONGEST_FOLLOW_UP,
    LONGEST_SUBJECT,
    MAX_CHAIN,
    leans,
    standalone,
)

LEANING = [
    "And to the European Union?",
    "What about fountain pens?",
    "Interesting. How about the blue one?",
    "How much does it cost?",
    "What are its advantages?",
    "Who founded them?",
    "Can I use vinegar for that?",
    "Is there a car park there?",
    "What came after it?",
    "What happens if it’s not used?",
    "How often?",
    "Why?",
    "On which days?",
    "What are the main themes?",
    "How does a pen differ?",
    "???",
    "제주는요?",
    "그럼 새벽 배송은요?",
    "네, 그러면 환불은 언제 돼요?",
    "거기 주차할 수 있나요?",
    "그건 얼마나 자주 해야 하나요?",
    "다른 색상도 있나요?",
    "가격은?",
    "수업료는 얼마예요?",
    "며칠 걸려요?",
    "주말요?",
    "세 권 세트는요?",
    "한 달이 지난 뒤에 취소하면요?",
    "E3는요?",
]
STANDING = [
    "How do I fill the Garam fountain pen?",
    "What is taurine?",
    "Who were the Sea Peoples?",
    "Where are Dalbit kettles built?",
    "How much is gift wrapping?",
    "What is Rock City, and why is it famous?",
    "Can I wash the notebook if it gets wet?",
    "How long does it take to repair a kettle?",
    "Which prize did the Onsae K2 win in 2023?",
    "Tell me about breeds that are independent.",
    "Are there any film festivals?",
    "한지 공책은 어떻게 보관해야 하나요?",
    "단체 주문 담당자는 누구인가요?",
    "선물 포장은 얼마예요?",
    "서울 매장 영업 시간은?",
    "할인 쿠폰 사용법을 알려 주세요.",
    "수업 신청 취소할 수 있나요?",
    "이건희 미술관 관람료는 얼마인가요?",
    "日本語のマニュアルはありますか？",
    "И в Корее?",
]


@pytest.mark.parametrize("question", LEANING)
def test_a_follow_up_leans_on_what_was_asked_before(question: str) -> None:
    assert leans(question)


@pytest.mark.parametrize("question", STANDING)
def test_a_question_that_names_its_subject_stands_alone(question: str) -> None:
    assert not leans(question)


def searched(*questions: str, limit: int = 2000) -> str:
    return standalone(questions, limit=limit)


def test_the_subject_of_the_question_before_follows_the_question() -> None:
    asked = ("What does standard delivery cost?", "And to Jeju?")
    assert searched(*asked) == "And to Jeju? standard delivery cost"
    assert searched("제본 수업은 언제 하나요?", "가격은?") == "가격은? 제본 수업은"


def test_a_new_subject_is_not_mixed_with_the_old_one() -> None:
    assert searched("What does the Moon Club cost?", "Do you repair pens?") == "Do you repair pens?"
    question = "단체 주문 담당자는 누구인가요?"
    assert searched("배송비는 얼마인가요?", question) == question


def test_the_first_question_is_left_as_it_is() -> None:
    assert searched(" 가격은? ") == "가격은?"


def test_a_chain_of_follow_ups_reaches_its_subject_and_no_further() -> None:
    asked = ("Do you engrave pens?", "What is the Moon Club?", "What does it cost?", "How often?")
    assert searched(*asked) == "How often? Moon Club cost"


def test_a_chain_is_bounded() -> None:
    asked = ["What is the Moon Club?", *(f"And item{n}?" for n in range(MAX_CHAIN + 1))]
    assert "Moon" not in searched(*asked)
    assert "Moon" in searched(*asked[:-1])


def test_greetings_and_thanks_add_nothing() -> None:
    assert searched("안녕하세요!", "가격은?") == "가격은?"
    chain = ("Who runs the tea bar in Bristol?", "Thanks!", "And the shop?")
    assert searched(*chain) == "And the shop? runs tea bar Bristol"


def test_a_word_that_was_asked_twice_is_searched_once() -> None:
    asked = ("How long is the kettle warranty?", "And the pen warranty?", "How often?")
    assert searched(*asked) == "How often? kettle warranty pen"


def test_a_long_text_stands_alone_and_gives_only_its_end() -> None:
    log = "error " * LONGEST_FOLLOW_UP + "What does E1 mean?"
    assert searched("What is the Moon Club?", log) == log
    joined = searched(log, "And E2?")
    assert joined.endswith("E1")
    assert len(joined) <= len("And E2? ") + LONGEST_SUBJECT


def test_the_limit_cuts_the_subject_and_never_the_question() -> None:
    asked = ("What does standard delivery cost?", "And to Jeju?")
    assert searched(*asked, limit=20) == "And to Jeju? standar"
    assert searched(*asked, limit=5) == "And to Jeju?"


@given(st.lists(st.text(max_size=400), min_size=1, max_size=8), st.integers(1, 500))
def test_whatever_is_asked_the_question_comes_first_and_the_limit_holds(
    questions: list[str], limit: int
) -> None:
    question = questions[-1].strip()
    joined = searched(*questions, limit=limit)
    assert joined.startswith(question)
    assert len(joined) <= max(limit, len(question))
