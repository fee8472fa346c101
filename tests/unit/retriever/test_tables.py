"""Tables to lines."""

from __future__ import annotations

import pytest

from services.retriever.parsing.separated import separated_values
from services.retriever.parsing.tables import rows_as_lines


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([["품목", "가격"], ["우산", "9,900"]], "품목: 우산; 가격: 9,900"),
        ([["name", "price"], ["umbrella", ""], ["", ""]], "name: umbrella"),
        ([["a", "b"], ["1", "2", "3"]], "a: 1; b: 2; 3"),
        ([["a", "b"]], "a; b"),
        ([["1", "2"], ["3", "4"]], "1; 2\n3; 4"),
        ([["a", "a"], ["x", "y"]], "a; a\nx; y"),
        ([["", ""], []], ""),
        ([], ""),
    ],
)
def test_rows_as_lines(rows: list[list[str]], expected: str) -> None:
    assert rows_as_lines(rows) == expected


def test_quotes_and_line_breaks_inside_a_cell_are_kept() -> None:
    text = 'name,note\n"Kim, J.","says ""hi"""\n'
    assert separated_values(text, ",") == 'name: Kim, J.; note: says "hi"'
    assert separated_values("name\tnote\nA\tB\n", "\t") == "name: A; note: B"
