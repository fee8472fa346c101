"""Decks to Markdown."""

from __future__ import annotations

from services.retriever.parsing.reading import read_file
from services.retriever.parsing.slides import read_slides
from tests.fakes.office import pptx
from tests.fakes.slides import deck, shape, slide


def test_each_slide_is_a_page_and_its_title_a_heading() -> None:
    slides = [slide(shape("본문"), shape("분기 & 실적", "title")), slide(shape("둘째"))]
    parsed = read_file("deck.pptx", deck(slides), 1 << 20)
    assert parsed.text == "## 분기 & 실적\n\n본문\n\n둘째"
    assert parsed.pages == ((1, 0), (2, parsed.text.index("둘째")))
    assert parsed.title == "분기 & 실적"


def test_the_order_is_the_decks_and_hidden_slides_are_left_out() -> None:
    slides = [slide(shape("a")), slide(shape("b"), hidden=True), slide(shape("c"))]
    numbered, _ = read_slides(deck(slides, order=(3, 2, 1)))
    assert numbered == [(1, "c"), (2, ""), (3, "a")]


def test_tables_notes_and_groups_are_read_and_page_furniture_is_not() -> None:
    table = (
        "<p:graphicFrame><a:tbl><a:tr><a:tc><a:p><a:r><a:t>품목</a:t></a:r></a:p></a:tc><a:tc><a:p>"
        "<a:r><a:t>값</a:t></a:r></a:p></a:tc></a:tr><a:tr><a:tc><a:p><a:r><a:t>우산</a:t></a:r>"
        "</a:p></a:tc><a:tc><a:p><a:r><a:t>1</a:t></a:r></a:p></a:tc></a:tr></a:tbl>"
        "</p:graphicFrame>"
    )
    group = f"<p:grpSp>{shape('묶음')}</p:grpSp>"
    whole = deck(
        [slide(table, group, shape("3", "sldNum"))], notes={1: slide(shape("발표자 메모"))}
    )
    ((_, text),) = read_slides(whole)[0]
    assert text == "| 품목 | 값 |\n| --- | --- |\n| 우산 | 1 |\n\n묶음\n\n발표자 메모"


def test_a_deck_of_bare_slides_is_read() -> None:
    assert read_slides(pptx([["첫 장", "점"], ["둘째"]]))[0] == [(1, "첫 장\n점"), (2, "둘째")]
