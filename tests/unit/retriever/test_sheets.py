"""Workbooks to lines."""

from __future__ import annotations

import pytest

from services.retriever.parsing.outcomes import FileCode, RefusedError
from services.retriever.parsing.sheets import read_sheets
from tests.fakes.workbook import Cell, rows, workbook


def text_of(sheet: str, **more: tuple[str, ...]) -> str:
    return read_sheets(workbook({"표": sheet}, **more))[0]  # type: ignore[arg-type] # all are tuples


def test_each_sheet_is_a_section_of_its_name() -> None:
    sheet = rows(["품목", "값"], ["우산", 9900.0])
    text, _ = read_sheets(workbook({"매출 2024": sheet, "빈 시트": rows(), "R&D": sheet}))
    assert text == "## 매출 2024\n\n품목: 우산; 값: 9900\n\n## R&D\n\n품목: 우산; 값: 9900"


def test_a_hidden_sheet_is_not_read() -> None:
    sheet = rows(["품목", "값"], ["우산", "x"])
    text, _ = read_sheets(workbook({"a": sheet, "b": sheet}, hidden=("b",)))
    assert "## b" not in text


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        (45352.0, "yyyy-mm-dd", "2024-03-01"),
        (45352.0, 'yyyy"년" m"월" d"일"', "2024-03-01"),
        (45352.5625, "yyyy/m/d h:mm", "2024-03-01 13:30"),
        (0.395833333333333, "h:mm AM/PM", "09:30"),
        (1.5, "[h]:mm", "36:00"),
        (0.125, "0.0%", "12.5%"),
        (0.5, "0%", "50%"),
        (1234567.5, "#,##0", "1234567.5"),
        (1234567.0, '_-"₩"* #,##0_-;[Red]-"₩"* #,##0', "1234567"),
        (0.1 + 0.2, "General", "0.3"),
        (-1.0, "yyyy-mm-dd", "-1"),
        (9e9, "yyyy-mm-dd", "9000000000"),
        (12345678901.0, "0", "12345678901"),
        (59.0, "yyyy-mm-dd", "1900-02-28"),
    ],
)
def test_a_number_is_written_as_its_cell_shows_it(value: float, form: str, shown: str) -> None:
    sheet = rows(["이름", "값"], ["x", (value, 1)])
    assert text_of(sheet, formats=(form,)).endswith(f"이름: x; 값: {shown}")


def test_days_may_be_counted_from_1904() -> None:
    packed = workbook(
        {"a": rows(["n", "d"], ["x", (0.0, 1)])},
        formats=("yyyy-mm-dd",),
        settings='<workbookPr date1904="1"/>',
    )
    assert read_sheets(packed)[0].endswith("d: 1904-01-01")


def test_a_title_above_the_names_of_the_columns_stays_above() -> None:
    sheet = rows(["2024년 매출 보고서"], [], ["지역", "금액", "비고"], ["서울", 1.0, "a"])
    assert text_of(sheet) == "## 표\n\n2024년 매출 보고서\n지역: 서울; 금액: 1; 비고: a"


def test_a_cell_merged_over_rows_stands_in_each() -> None:
    sheet = rows(["부서", "이름"], ["개발팀", "김"], ["", "이"], ["", "박"], merged=("A2:A4",))
    lines = text_of(sheet).splitlines()[2:]
    assert lines == [f"부서: 개발팀; 이름: {name}" for name in "김이박"]


def test_a_merge_over_everything_costs_nothing() -> None:
    assert text_of(rows(["a", "b"], ["x", "y"], merged=("A1:XFD1048576", "?", "B2"))).endswith(
        "b: y"
    )


def test_shared_texts_are_found_without_their_readings() -> None:
    cells = '<c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c><c r="C1" t="s"><v>9</v></c>'
    sheet = f'<sheetData><row r="1">{cells}</row></sheetData>'
    shared = ("<r><t>東</t></r><r><t>京</t></r><rPh><t>とうきょう</t></rPh>", "<t>a_x000A_b</t>")
    assert text_of(sheet, shared=shared) == "## 표\n\n東京; a b"


def test_years_and_an_empty_corner_name_columns_too() -> None:
    sheet = rows(["", "2023", "2024"], ["매출", 10.0, 20.0])
    assert text_of(sheet).endswith("매출; 2023: 10; 2024: 20")


@pytest.mark.parametrize("cells", [[["1", "2"], ["3", "4"]], [["김", "서울"]]])
def test_rows_that_nothing_names_are_written_bare(cells: list[list[Cell]]) -> None:
    assert ":" not in text_of(rows(*cells))


def test_more_cells_than_allowed_are_refused() -> None:
    with pytest.raises(RefusedError) as caught:
        read_sheets(workbook({"a": rows(["a", "b"], ["c", "d"])}), most_cells=3)
    assert caught.value.refusal.code is FileCode.TOO_COMPLEX


def test_a_cell_far_out_takes_no_room() -> None:
    sheet = '<sheetData><row r="1048576"><c r="XFD1048576"><v>7</v></c></row></sheetData>'
    assert text_of(sheet) == "## 표\n\n7"


def test_a_column_that_no_sheet_has_is_refused() -> None:
    with pytest.raises(RefusedError) as caught:
        text_of('<sheetData><row r="1"><c r="ZZZ1"><v>7</v></c></row></sheetData>')
    assert caught.value.refusal.code is FileCode.UNREADABLE
