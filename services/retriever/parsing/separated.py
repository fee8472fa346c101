"""CSV files as they come: any separator, quoted line breaks, a quote that nobody closes."""

from __future__ import annotations

import csv
import io
from collections import Counter
from itertools import islice

from services.retriever.parsing.outcomes import FileCode, RefusedError
from services.retriever.parsing.tables import rows_as_lines

SEPARATORS = (",", "\t", ";", "|")
"""What may stand between values, the likeliest first."""

_LOOKED_AT = 64
"""Rows that tell which separator it is."""

_SAMPLE = 65_536
"""Characters that they are looked for in."""

_LONGEST_CELL = 1024 * 1024
_MOST_LINES_A_CELL = 100
"""A quoted cell of more lines is a quote that nobody closed."""

_NAMED = "sep="


def separated_values(text: str, usual: str) -> str:
    """Turn the text of a CSV file to lines, each row with the names of its columns.

    Args:
        text: the file's.
        usual: the separator when the rows do not tell.

    Raises:
        RefusedError: a cell is too long to be one.
    """
    csv.field_size_limit(_LONGEST_CELL)
    first, _, rest = text.partition("\n")
    named = first.strip().strip('"').lower()
    if named.startswith(_NAMED) and len(named) == len(_NAMED) + 1:
        return rows_as_lines(_rows(rest, named[-1]))
    if first.rstrip("\r").lower() == f"{_NAMED}\t":
        return rows_as_lines(_rows(rest, "\t"))
    return rows_as_lines(_rows(text, _separator(text, usual)))


def _separator(text: str, usual: str) -> str:
    """Find the separator that gives the most rows of one width, and of those the widest."""
    sample = text[:_SAMPLE]
    found = [(_regularity(sample, each), each == usual, each) for each in SEPARATORS]
    (share, _), _, best = max(found)
    return best if share else usual


def _regularity(text: str, separator: str) -> tuple[float, int]:
    rows = csv.reader(io.StringIO(text), delimiter=separator)
    try:
        widths = Counter(len(row) for row in islice(rows, _LOOKED_AT) if row)
    except csv.Error:
        return 0.0, 0
    if not widths:
        return 0.0, 0
    width, times = max(widths.items(), key=lambda item: (item[1], item[0]))
    return (round(times / widths.total(), 1), width) if width > 1 else (0.0, 0)


def _rows(text: str, separator: str) -> list[list[str]]:
    try:
        rows = [*csv.reader(io.StringIO(text), delimiter=separator)]
        if not any(cell.count("\n") > _MOST_LINES_A_CELL for row in rows for cell in row):
            return rows
    except csv.Error:
        pass
    try:
        lines = io.StringIO(text)
        return [*csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE)]
    except csv.Error as error:
        raise RefusedError(
            FileCode.UNREADABLE,
            f"A cell is longer than {_LONGEST_CELL} characters; save the file again as CSV.",
        ) from error
