"""Tables as Markdown writes them, the header again above every few rows.

A long table is cut into several. Whatever piece of it a search finds then says what its
columns are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

BLOCK_CHARACTERS = 400
"""How much of a table stands below one header: some two thirds of a chunk of the usual length."""

_SPACE = re.compile(r"\s+")


def piped(rows: Sequence[Sequence[str]]) -> str:
    """Write a table, its first row the header; one column is written as paragraphs.

    Rows without text are left out, and columns without text too.
    """
    lines = [[_SPACE.sub(" ", cell).strip() for cell in row] for row in rows]
    filled = [row for row in lines if any(row)]
    used = sorted({at for row in filled for at, cell in enumerate(row) if cell})
    table = [[row[at] if at < len(row) else "" for at in used] for row in filled]
    if len(used) < 2 or len(table) < 2:
        return "\n\n".join(" | ".join(filter(None, row)) for row in table)
    return "\n\n".join(_blocks(table[0], table[1:]))


def _blocks(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    head = [_line(header), _line(["---"] * len(header))]
    block, size = list(head), len(head[0])
    for row in map(_line, rows):
        if len(block) > len(head) and size + len(row) > BLOCK_CHARACTERS:
            yield "\n".join(block)
            block, size = list(head), len(head[0])
        block.append(row)
        size += len(row)
    yield "\n".join(block)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
