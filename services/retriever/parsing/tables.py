"""Tables to lines that can be found: each row with the names of its columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_LOOKED_AT = 50
"""Rows that tell how wide a table is."""

_NUMBER_SIGNS = str.maketrans("", "", "+-.,:/%() \t₩$€¥원")
_FIRST_YEAR, _LAST_YEAR = 1900, 2100


def rows_as_lines(rows: Sequence[Sequence[str]]) -> str:
    """Write each row on a line as `name: value; name: value`, or its values when nothing names
    them; what stands above the names, a title say, stays above.
    """
    filled = [[" ".join(cell.split()) for cell in row] for row in rows if any(map(str.strip, row))]
    at = _header_at(filled)
    if at is None:
        return "\n".join(map(_bare, filled))
    header, body = filled[at], filled[at + 1 :]
    above = "".join(_bare(row) + "\n" for row in filled[:at])
    return above + "\n".join(_named(header, row) for row in body)


def _header_at(rows: Sequence[Sequence[str]]) -> int | None:
    """Find the row that names the columns: the first that fills more than half of them."""
    widest = max(map(_filled, rows[:_LOOKED_AT]), default=0)
    for at, row in enumerate(rows[:_LOOKED_AT]):
        if _filled(row) * 2 > widest:
            return at if at + 1 < len(rows) and _is_header(row, widest) else None
    return None


def _is_header(row: Sequence[str], widest: int) -> bool:
    """A header's cells are filled, but for the first, and different; only years are numbers."""
    names = [cell for cell in row if cell]
    inner = row[1 : len(row) - next((n for n, cell in enumerate(reversed(row)) if cell), 0)]
    numbers = [name for name in names if _is_number(name)]
    return (
        all(inner)
        and len(names) == len(set(names))
        and (len(names) > 1 or widest == 1)
        and all(map(_is_year, numbers))
        and len(numbers) < len(row)
    )


def _is_number(cell: str) -> bool:
    return cell.translate(_NUMBER_SIGNS).isdigit()


def _is_year(cell: str) -> bool:
    return len(cell) == len("2000") and cell.isdigit() and _FIRST_YEAR <= int(cell) <= _LAST_YEAR


def _filled(row: Sequence[str]) -> int:
    return sum(map(bool, row))


def _named(header: Sequence[str], row: Sequence[str]) -> str:
    pairs: Iterator[str] = (
        f"{header[at]}: {cell}" if at < len(header) and header[at] else cell
        for at, cell in enumerate(row)
        if cell
    )
    return "; ".join(pairs)


def _bare(row: Sequence[str]) -> str:
    return "; ".join(cell for cell in row if cell)
