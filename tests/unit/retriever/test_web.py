"""Web pages to Markdown."""

from __future__ import annotations

import pytest

from services.retriever.parsing.web import read_web_page


@pytest.mark.parametrize("depth", [10, 60, 200, 5000])
@pytest.mark.parametrize("tag", ["div", "table><tr><td", "ul><li", "blockquote"])
def test_however_deep_a_text_is_nested_it_is_read(tag: str, depth: int) -> None:
    page = f"<p>처음</p>{f'<{tag}>' * depth}<h2>깊은 제목</h2><p>깊은 글</p>"
    text, _ = read_web_page(page)
    for part in ("처음", "깊은 제목", "깊은 글"):
        assert part in text


def test_tables_are_written_without_padding() -> None:
    rows = "".join(
        f"<tr><td>{key}</td><td>{'가' * n}</td></tr>" for key, n in (("a", 300), ("b", 1))
    )
    text, _ = read_web_page(f"<table><tr><th>k</th><th>v</th></tr>{rows}</table>")
    assert text.splitlines()[:2] == ["| k | v |", "| --- | --- |"]
    assert text.splitlines()[3] == "| b | 가 |"


def test_what_is_set_bold_is_no_word_of_its_own() -> None:
    assert read_web_page("<p><b>반품</b>은 <b>14일</b> 이내</p>")[0].strip() == "반품은 14일 이내"


def test_signs_are_kept_and_pictures_are_not() -> None:
    page = "<p>R&amp;D 5 &lt; 7, 5 * 3 * 2, a_b_c</p><svg><text>x</text></svg>"
    assert read_web_page(page)[0].strip() == "R&D 5 < 7, 5 * 3 * 2, a_b_c"
