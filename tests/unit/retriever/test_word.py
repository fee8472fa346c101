"""Word documents to Markdown."""

from __future__ import annotations

import pytest

from services.retriever.parsing.outcomes import FileCode, RefusedError
from services.retriever.parsing.word import read_word
from tests.fakes.word import cell, listed, paragraph, styled, table, word

STYLES = """
<w:style w:type="paragraph" w:styleId="1"><w:name w:val="heading 1"/></w:style>
<w:style w:type="paragraph" w:styleId="a5"><w:name w:val="제목 2"/></w:style>
<w:style w:type="paragraph" w:styleId="own"><w:name w:val="Own"/><w:basedOn w:val="a5"/></w:style>
<w:style w:type="paragraph" w:styleId="x"><w:name w:val="X"/><w:basedOn w:val="y"/></w:style>
<w:style w:type="paragraph" w:styleId="y"><w:name w:val="Y"/><w:basedOn w:val="x"/></w:style>
<w:style w:type="paragraph" w:styleId="out"><w:pPr><w:outlineLvl w:val="2"/></w:pPr></w:style>
"""
NUMBERS = """
<w:abstractNum w:abstractNumId="7">
<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="제%1조"/></w:lvl>
<w:lvl w:ilvl="1"><w:numFmt w:val="ganada"/><w:lvlText w:val="%2."/></w:lvl>
<w:lvl w:ilvl="2"><w:numFmt w:val="upperRoman"/><w:lvlText w:val="%1-%3)"/></w:lvl>
</w:abstractNum>
<w:abstractNum w:abstractNumId="8">
<w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/></w:lvl></w:abstractNum>
<w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num>
<w:num w:numId="2"><w:abstractNumId w:val="8"/></w:num>
"""


def text_of(body: str, **parts: str) -> str:
    return read_word(word(body, **parts))[0]


def test_headings_are_known_by_their_style_in_any_language() -> None:
    body = (
        styled("휴가 규정", "1")
        + styled("신청", "a5")
        + styled("절차", "own")
        + styled("세부", "out")
    )
    assert text_of(body, styles=STYLES) == "# 휴가 규정\n\n## 신청\n\n## 절차\n\n### 세부"


def test_styles_that_descend_from_each_other_end_nowhere() -> None:
    assert text_of(styled("본문", "x"), styles=STYLES) == "본문"


@pytest.mark.parametrize(
    "text", ["R&D <초안> 5 < 7 & 9 > 3", "5 * 3 * 2 = 30, a_b_c [x](y)", "A\tB"]
)
def test_every_sign_is_kept(text: str) -> None:
    assert text_of(paragraph(text)) == text


def test_tabs_and_line_breaks_are_no_glue() -> None:
    body = "<w:p><w:r><w:t>이름</w:t><w:tab/><w:t>김</w:t><w:br/><w:t>부서</w:t></w:r></w:p>"
    assert text_of(body) == "이름\t김\n부서"


def test_what_only_looks_like_a_heading_is_none() -> None:
    assert text_of(paragraph("# 1 in the list")) == "\\# 1 in the list"


def test_the_numbers_that_word_only_shows_are_written() -> None:
    body = "".join(
        (
            *(listed("목적"), listed("범위"), listed("직원", level=1), listed("임원", level=1)),
            *(listed("세부", level=2), listed("시행"), listed("다시", level=1)),
        )
    )
    assert text_of(body, numbering=NUMBERS).split("\n\n") == [
        *("제1조 목적", "제2조 범위", "  가. 직원", "  나. 임원", "    2-I) 세부"),
        *("제3조 시행", "  가. 다시"),
    ]


def test_items_of_a_list_stand_together() -> None:
    body = paragraph("준비물") + listed("우산", 2) + listed("장화", 2) + paragraph("끝")
    assert text_of(body, numbering=NUMBERS) == "준비물\n\n- 우산\n- 장화\n\n끝"


def test_a_table_keeps_its_rows_and_merged_cells_stand_in_each() -> None:
    down, wide = '<w:vMerge w:val="restart"/>', '<w:gridSpan w:val="2"/>'
    rows = (
        f"<w:tr>{cell('부서')}{cell('이름')}{cell('비고')}</w:tr>",
        f"<w:tr>{cell('개발', down)}{cell('김')}{cell('a|b')}</w:tr>",
        f"<w:tr>{cell('', '<w:vMerge/>')}{cell('이', wide)}</w:tr>",
    )
    assert text_of(f"<w:tbl>{''.join(rows)}</w:tbl>").splitlines() == [
        *("| 부서 | 이름 | 비고 |", "| --- | --- | --- |"),
        *("| 개발 | 김 | a\\|b |", "| 개발 | 이 |  |"),
    ]


def test_a_long_table_says_its_columns_again_and_again() -> None:
    rows = [[f"품목 {n}", "구매일로부터 십사일 이내", f"{n},000원"] for n in range(60)]
    pieces = text_of(table([["품목", "기간", "수수료"], *rows])).split("\n\n")
    assert len(pieces) > 3
    assert {piece.splitlines()[0] for piece in pieces} == {"| 품목 | 기간 | 수수료 |"}
    assert sum(len(piece.splitlines()) - 2 for piece in pieces) == 60


def test_a_frame_that_is_a_table_of_one_column_is_text() -> None:
    assert text_of(table([["첫 문단"], ["둘째 문단"]])) == "첫 문단\n\n둘째 문단"


def test_a_table_in_a_cell_is_read_with_the_cell() -> None:
    inner = f"<w:tc>{paragraph('밖')}{table([['안', '쪽']])}</w:tc>"
    body = f"<w:tbl><w:tr>{inner}{cell('옆')}</w:tr><w:tr>{cell('a')}{cell('b')}</w:tr></w:tbl>"
    assert text_of(body).startswith("| 밖 안 쪽 | 옆 |")


def test_what_word_does_not_show_is_left_out() -> None:
    hidden = (
        "<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>숨김</w:t></w:r><w:r><w:t>보임</w:t></w:r></w:p>"
    )
    deleted = "<w:p><w:del><w:r><w:delText>지움</w:delText><w:t>지움</w:t></w:r></w:del></w:p>"
    added = "<w:ins><w:r><w:t>넣음</w:t></w:r></w:ins>"
    field = f"<w:p><w:r><w:instrText>PAGE</w:instrText></w:r>{added}</w:p>"
    assert text_of(hidden + deleted + field) == "보임\n\n넣음"


def test_a_text_box_is_read_once() -> None:
    box = f"<w:txbxContent>{paragraph('글상자')}</w:txbxContent>"
    both = (
        f"<mc:AlternateContent><mc:Choice>{box}</mc:Choice><mc:Fallback>{box}</mc:Fallback>"
        "</mc:AlternateContent>"
    )
    assert text_of(f"<w:p><w:r><w:t>본문</w:t></w:r><w:r>{both}</w:r></w:p>") == "본문\n\n글상자"


def test_a_footnote_is_named_where_it_belongs() -> None:
    body = '<w:p><w:r><w:t>연차</w:t><w:footnoteReference w:id="2"/></w:r></w:p>'
    notes = (
        f'<w:footnote w:id="0" w:type="separator">{paragraph("-")}</w:footnote>'
        f'<w:footnote w:id="2">{paragraph("근로기준법")}</w:footnote>'
    )
    assert text_of(body, footnotes=notes) == "연차[^2]\n\n[^2]: 근로기준법"


def test_content_controls_are_looked_into() -> None:
    assert text_of(f"<w:sdt><w:sdtContent>{paragraph('안')}</w:sdtContent></w:sdt>") == "안"


def test_the_title_is_the_properties() -> None:
    assert read_word(word(paragraph("x"), title="규정 & 안내"))[1] == "규정 & 안내"


def test_a_file_in_the_strict_form_is_read() -> None:
    usual = b"http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    strict = b"http://purl.oclc.org/ooxml/wordprocessingml/main"
    assert read_word(_rewritten(word(paragraph("본문")), usual, strict))[0] == "본문"


def test_entities_that_unfold_are_refused() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]>'
    with pytest.raises(RefusedError) as caught:
        read_word(word(paragraph("x"), prolog=bomb))
    assert caught.value.refusal.code is FileCode.UNREADABLE


def test_a_deeply_nested_document_is_read_in_full() -> None:
    deep = "<w:sdt><w:sdtContent>" * 3000 + paragraph("바닥") + "</w:sdtContent></w:sdt>" * 3000
    assert text_of(deep + paragraph("뒤")) == "바닥\n\n뒤"


def _rewritten(packed: bytes, before: bytes, after: bytes) -> bytes:
    import io
    import zipfile

    from tests.fakes.office import archive

    with zipfile.ZipFile(io.BytesIO(packed)) as file:
        return archive({name: file.read(name).replace(before, after) for name in file.namelist()})
