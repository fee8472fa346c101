"""Files to text, kind by kind."""

from __future__ import annotations

import unicodedata
import zipfile
from io import BytesIO

import pytest

from services.retriever.parsing.outcomes import FileCode, Parsed, RefusedError
from services.retriever.parsing.reading import read_file
from tests.fakes.office import archive, docx, pdf, pptx, xlsx
from tests.fakes.portable import korean_pdf

UNPACKED = 1 << 20


def read(name: str, content: bytes | str) -> Parsed:
    raw = content.encode() if isinstance(content, str) else content
    return read_file(name, raw, UNPACKED)


def refusal(name: str, content: bytes | str) -> FileCode:
    with pytest.raises(RefusedError) as caught:
        read(name, content)
    assert caught.value.refusal.message.endswith(".")
    return caught.value.refusal.code


def test_plain_text_keeps_its_words_and_unifies_its_lines() -> None:
    line = "같은 말이 여러 번 나옵니다. " * 5
    parsed = read("메모.txt", f"{line}\r\n둘째\x00 줄\r\n\r\n\r\n\r\n끝\n")
    assert parsed == Parsed(f"{line.rstrip()}\n둘째 줄\n\n끝", "메모")


def test_markdown_takes_its_title_from_its_first_heading() -> None:
    assert read("a.md", "intro\n\n# 반품 정책 #\n\ntext").title == "반품 정책"
    assert read("a.md", "no heading").title == "a"


def test_front_matter_gives_the_title_and_is_no_text() -> None:
    parsed = read("a.md", '---\ntitle: "Return policy"\ntags: [x]\n---\n# Other\n\ntext')
    assert parsed == Parsed("# Other\n\ntext", "Return policy")
    rule = "---\nnot closed\n\n# Heading"
    assert read("a.md", rule).text == rule


def test_a_web_page_gives_its_content_and_not_its_machinery() -> None:
    page = """<html><head><title>반품 &amp; 교환</title><meta name="description" content="hidden">
    <style>p {color: red}</style></head><body><nav><a href="/">Home page</a></nav>
    <h1>반품</h1><p>14일 <b>이내</b>, see <a href="https://example.com/x?y=1">the form</a>.</p>
    <img src="data:image/png;base64,AAAA" alt="a form"><script>evil()</script>
    <table><tr><th>품목</th><th>기간</th></tr><tr><td>의류</td><td>14일</td></tr></table>
    </body></html>"""
    parsed = read("page.html", page)
    assert parsed.title == "반품 & 교환"
    assert parsed.text.startswith("# 반품")
    for kept in ("14일", "the form", "의류"):
        assert kept in parsed.text
    for dropped in ("example.com", "evil", "color", "hidden", "base64", "Home page"):
        assert dropped not in parsed.text


def test_a_page_in_an_old_korean_charset_is_read() -> None:
    page = "<html><body><h1>안내</h1><p>반품은 십사일 이내에 가능합니다.</p></body></html>"
    assert "반품은 십사일 이내에" in read("page.htm", page.encode("cp949")).text


def test_a_word_document_keeps_its_headings() -> None:
    parsed = read(
        "policy.docx", docx(["# 반품 정책", "14일 이내에 가능합니다.", "# Shipping", "Fast."])
    )
    assert parsed.title == "반품 정책"
    assert "# 반품 정책" in parsed.text
    assert "14일 이내에 가능합니다." in parsed.text
    assert parsed.text.index("# Shipping") < parsed.text.index("Fast.")


def test_a_sheets_rows_name_their_columns() -> None:
    parsed = read(
        "prices.xlsx", xlsx([["품목", "가격"], ["우산", "9,900원"], ["장화", "19,900원"]])
    )
    assert parsed.text == "## Sheet1\n\n품목: 우산; 가격: 9,900원\n품목: 장화; 가격: 19,900원"


def test_slides_are_read_in_their_order() -> None:
    parsed = read("deck.pptx", pptx([["첫 장", "first point"], ["둘째 장"]]))
    assert (
        parsed.text.index("첫 장") < parsed.text.index("first point") < parsed.text.index("둘째 장")
    )


def test_a_pdf_keeps_its_page_numbers() -> None:
    parsed = read("manual.pdf", pdf(["Page one text", "", "Page three text"]))
    assert [page for page, _ in parsed.pages] == [1, 3]
    starts = [parsed.text[start:][:8] for _, start in parsed.pages]
    assert starts == ["Page one", "Page thr"]


def test_tables_of_values_name_their_columns() -> None:
    assert read("a.csv", "name,price\n우산,9900\n").text == "name: 우산; price: 9900"
    assert read("a.tsv", "name\tprice\n우산\t9900\n").text == "name: 우산; price: 9900"


def test_json_is_laid_out_readably() -> None:
    assert "품목: 우산" in read("a.json", '{"\\ud488\\ubaa9":"\\uc6b0\\uc0b0"}').text
    assert read("a.json", "{broken").text == "{broken"


def test_a_file_is_what_its_content_says() -> None:
    assert read("really_a_pdf.txt", pdf(["Hello there"])).text == "Hello there"
    assert "Hello" in read("really_a_document.pdf", docx(["Hello"])).text


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.txt", b"", FileCode.EMPTY),
        ("a.txt", b"\r\n\0 ", FileCode.EMPTY),
        ("a.md", b"---\ntitle: x\n---\n", FileCode.EMPTY),
        ("scan.pdf", pdf(["", ""]), FileCode.NO_TEXT_LAYER),
        ("none.pdf", korean_pdf([]), FileCode.UNREADABLE),
        ("locked.pdf", korean_pdf([["x"]], locked=True), FileCode.ENCRYPTED),
        ("a.pdf", b"no pdf at all", FileCode.UNREADABLE),
        ("a.docx", b"no archive at all", FileCode.UNREADABLE),
        ("a.pdf", pdf(["x"])[:60], FileCode.UNREADABLE),
        ("a.docx", docx(["x"])[:-40], FileCode.UNREADABLE),
        ("a.xlsx", xlsx([["x"]])[:300], FileCode.UNREADABLE),
        ("a.pptx", pptx([["x"]])[:-1], FileCode.UNREADABLE),
        ("a.xlsx", archive({"xl/workbook.xml": "<workbook"}), FileCode.UNREADABLE),
        ("a.docx", archive({"word/document.xml": "<a>" * 9}), FileCode.UNREADABLE),
        ("a.zip", archive({"a.txt": "x"}), FileCode.UNSUPPORTED),
        ("a.hwp", b"HWP Document File", FileCode.UNSUPPORTED),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, FileCode.UNSUPPORTED),
        (
            "a.docx",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            FileCode.ENCRYPTED,
        ),
        ("a.exe", b"MZ", FileCode.UNSUPPORTED),
        ("a.txt", bytes(range(256)), FileCode.UNSUPPORTED),
        (
            "a.docx",
            archive({"word/document.xml": b"\0" * (UNPACKED + 1)}),
            FileCode.TOO_LARGE,
        ),
    ],
)
def test_a_file_without_text_is_refused_with_its_reason(
    name: str, content: bytes, code: FileCode
) -> None:
    assert refusal(name, content) is code


def test_an_archive_whose_parts_are_locked_is_refused() -> None:
    packed = bytearray(docx(["secret"]))
    with zipfile.ZipFile(BytesIO(bytes(packed))) as whole:
        assert not any(part.flag_bits & 1 for part in whole.infolist())
    at = 0
    while (at := packed.find(b"PK\x01\x02", at)) >= 0:
        packed[at + 8] |= 1
        at += 4
    assert refusal("a.docx", bytes(packed)) is FileCode.ENCRYPTED


def test_a_pdf_in_korean_keeps_its_headings_pages_and_title() -> None:
    pages = [
        ["제1장 총칙", "제1조(목적) 이 규정은 휴가를 정한다.", "- 1 -"],
        ["제2조 신청", "R&D 부서는"],
    ]
    parsed = read("규정.pdf", korean_pdf(pages, title="Microsoft Word - 휴가 규정"))
    assert parsed.text == (
        "## 제1장 총칙\n\n##### 제1조(목적)\n\n이 규정은 휴가를 정한다.\n\n"
        "##### 제2조 신청\n\nR&D 부서는"
    )
    assert parsed.pages == ((1, 0), (2, parsed.text.index("##### 제2조")))
    assert parsed.title == "휴가 규정"


def test_text_and_names_from_a_mac_are_composed() -> None:
    apart = unicodedata.normalize("NFD", "반품 안내")
    for name, content in (
        ("a.txt", apart),
        ("a.md", f"# {apart}"),
        ("a.json", f'{{"k": "{apart}"}}'),
    ):
        assert "반품 안내" in read(name, content).text
    assert "반품 안내" in read("a.docx", docx([apart])).text
    assert read(f"{apart}.txt", "x").title == "반품 안내"


def test_what_cannot_be_seen_does_not_cut_words_in_two() -> None:
    assert read("a.txt", "반\u200b품 안\u00ad내\ufeff\u00a0끝").text == "반품 안내 끝"


def test_a_web_page_that_is_named_as_a_sheet_is_read() -> None:
    page = "\ufeff<html><body><table><tr><td>지역</td><td>서울</td></tr></table></body></html>"
    for name in ("export.xls", "export.xlsx", "export.doc"):
        assert "서울" in read(name, page).text


@pytest.mark.parametrize(
    "title", ["Untitled", "제목 없음", "PowerPoint 프레젠테이션", "(anonymous)"]
)
def test_a_title_that_says_nothing_is_none(title: str) -> None:
    assert read("안내.pdf", korean_pdf([["x"]], title=title)).title == "안내"


def test_a_hangul_file_is_refused_with_what_to_do() -> None:
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600 + b"HWP Document File"
    with pytest.raises(RefusedError) as caught:
        read("a.hwp", ole)
    assert caught.value.refusal.code is FileCode.UNSUPPORTED
    assert "PDF" in caught.value.refusal.message
