"""CSV files as programs write them."""

from __future__ import annotations

import pytest

from services.retriever.parsing.outcomes import FileCode, RefusedError
from services.retriever.parsing.separated import separated_values


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_any_separator_is_found(separator: str) -> None:
    rows = [["품목", "값", "비고"], ["우산", "9.900", "a b"], ["장화", "1", "c"]]
    text = "\n".join(separator.join(row) for row in rows)
    assert separated_values(text, ",").splitlines()[0] == "품목: 우산; 값: 9.900; 비고: a b"


def test_commas_inside_values_do_not_pass_for_separators() -> None:
    text = "이름;값\n우산, 대;1,5\n장화;2,6\n"
    assert separated_values(text, ",") == "이름: 우산, 대; 값: 1,5\n이름: 장화; 값: 2,6"


@pytest.mark.parametrize(
    ("first", "separator"), [("sep=;", ";"), ('"sep=;"', ";"), ("sep=\t", "\t")]
)
def test_a_sheet_program_may_name_its_separator(first: str, separator: str) -> None:
    text = f"{first}\r\na{separator}b\r\nx{separator}y\r\n"
    assert separated_values(text, ",") == "a: x; b: y"


def test_line_breaks_in_quotes_stay_in_their_cell() -> None:
    assert separated_values('이름,메모\n김,"첫 줄\n둘째 ""줄"""\n', ",") == (
        '이름: 김; 메모: 첫 줄 둘째 "줄"'
    )


def test_a_quote_that_nobody_closes_does_not_swallow_the_file() -> None:
    rows = "".join(f"{n},pipe\n" for n in range(300))
    lines = separated_values(f'n,what\n-1,"open\n{rows}', ",").splitlines()
    assert len(lines) == 301
    assert lines[-1] == "n: 299; what: pipe"


def test_a_cell_longer_than_any_is_refused() -> None:
    with pytest.raises(RefusedError) as caught:
        separated_values("a,b\n" + "x" * 1_100_000 + ",y\n", ",")
    assert caught.value.refusal.code is FileCode.UNREADABLE


def test_one_column_is_read() -> None:
    assert separated_values("이름\n김\n이\n", ",") == "이름: 김\n이름: 이"
