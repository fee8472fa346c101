"""How much of an answer stands in what it cites."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.domain.support import support

KETTLE = "Press the dial twice and the K2 keeps the chosen temperature for 45 minutes."
SHIPPING = "Standard delivery within Korea costs 3,000 won."
TEAPOT = "온새 티포트는 물을 1.2리터까지 담고, 뚜껑은 식기세척기에 넣을 수 있습니다."


def share(answer: str, **passages: str) -> float | None:
    found = support(answer, {int(name[1:]): text for name, text in passages.items()})
    return None if found is None else found.of_answer


def test_what_a_passage_says_is_supported_wholly() -> None:
    assert share("The K2 keeps the chosen temperature for 45 minutes [1].", p1=KETTLE) == 1.0


def test_a_number_that_is_not_there_leaves_nothing() -> None:
    assert share("The K2 keeps the chosen temperature for 90 minutes [1].", p1=KETTLE) == 0.0


@pytest.mark.parametrize("number", ["3000", "3,000", "3천"])
def test_a_number_may_be_written_in_another_way(number: str) -> None:
    assert share(f"{number} won [1]", p1=SHIPPING) != 0.0


def test_another_passage_than_the_one_it_comes_from_does_not_support_it() -> None:
    low = share("The dial keeps the chosen temperature [2].", p1=KETTLE, p2=SHIPPING)
    assert low == 0.0


def test_pleasantries_without_a_citation_do_not_count() -> None:
    answer = "Thank you for your question. The K2 keeps the temperature [1]. Do ask again."
    assert share(answer, p1=KETTLE) == 1.0


def test_each_sentence_with_a_citation_counts_alike() -> None:
    answer = "The K2 keeps the chosen temperature [1]. Elephants sing underwater [1]."
    assert share(answer, p1=KETTLE) == 0.5


def test_passages_that_are_cited_together_support_together() -> None:
    answer = "The K2 keeps the temperature and delivery costs 3,000 won [1, 2]."
    found = support(answer, {1: KETTLE, 2: SHIPPING})
    assert found is not None
    assert found.of_answer == 1.0
    assert found.of_passages[1] == 0.0
    assert 0 < found.of_passages[2] < 1


def test_a_passage_is_judged_by_the_sentence_that_it_supports_best() -> None:
    answer = "Elephants sing [1]. The K2 keeps the chosen temperature [1]."
    found = support(answer, {1: KETTLE})
    assert found is not None
    assert dict(found.of_passages) == {1: 1.0}


def test_other_endings_of_korean_leave_most_of_it_standing() -> None:
    polite = share("물을 1.2리터까지 담으실 수 있어요 [1] 😊", p1=TEAPOT)
    other = share("주문은 전화로만 받고 있어요 [1] 😊", p1=TEAPOT)
    assert polite is not None
    assert other is not None
    assert polite > 0.5 > other


def test_an_answer_that_cites_nothing_has_no_support_to_tell_of() -> None:
    assert share("The K2 keeps the temperature.", p1=KETTLE) is None
    assert share("") is None


@given(st.text(), st.dictionaries(st.integers(1, 9), st.text(), max_size=3))
def test_a_share_is_a_share_whatever_the_texts(answer: str, passages: dict[int, str]) -> None:
    found = support(answer + "".join(f" [{n}]" for n in passages), passages)
    if found is not None:
        assert 0 <= found.of_answer <= 1
        assert set(found.of_passages) <= set(passages)
        assert all(0 <= one <= 1 for one in found.of_passages.values())


@pytest.mark.parametrize(
    "answer", ["2,500원입니다 [1].", "네! 2,500원이에요 [1] 😊", "포장은 2,500원 [1]"]
)
def test_a_short_korean_answer_is_the_same_in_every_voice(answer: str) -> None:
    assert share(answer, p1="한지 포장은 2,500원입니다. 매듭 끈은 남색입니다.") == 1.0
