"""Tables to lines that can be found: each row with the names of its columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

_LONGEST_CELL = 1024 * 1024


def separated_values(text: str, separator: str) -> str:
    """Turn CSV or TSV text to lines."""
    csv.field_size_limit(_LONGEST_CELL)
    return rows_as_lines(list(csv.reader(io.StringIO(text), delimiter=separator)))


def rows_as_lines(rows: Sequence[Sequence[str]]) -> str:
    """Write each row on a line as `name: value; name: value`, or its values when nothing names
    them.
    """
    filled = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    if not filled:
        return ""
    if len(filled) < 2 or not _is_header(filled[0]):
        return "\n".join(_bare(row) for row in filled)
    header, *body = filled
    return "\n".join(_named(header, row) for row in body)


def _is_header(row: Sequence[str]) -> bool:
    """A header's cells are filled, different, and no numbers."""
    names = [cell for cell in row if cell]
    numbers = sum(cell.replace(",", "").replace(".", "").lstrip("-").isdigit() for cell in names)
    return len(names) == len(row) == len(set(names)) and numbers == 0


def _named(header: Sequence[str], row: Sequence[str]) -> str:
    pairs: Iterator[str] = (
        f"{header[at]}: {cell}" if at < len(header) else cell for at, cell in enumerate(row) if cell
    )
    return "; ".join(pairs)


def _bare(row: Sequence[str]) -> str:
    return "; ".join(cell for cell in row if cell)
