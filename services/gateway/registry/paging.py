"""Reading a list in pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Page:
    """How many items to read, and after which one."""

    limit: int
    after: str | None = None


async def page_of(
    connection: AsyncConnection,
    statement: Select[Any],
    page: Page,
    *,
    order: tuple[ColumnElement[Any], ...],
    id_: ColumnElement[Any],
    ascending: bool = False,
) -> tuple[Sequence[Row[Any]], bool]:
    """Read one page, and whether there are more.

    Args:
        order: the columns that order the list; together they are unique.
        id_: the column that `page.after` names an item of the list by.

    Raises:
        InvalidRequest: when `page.after` names no item of the list.
    """
    if page.after is not None:
        last = (
            await connection.execute(
                statement.with_only_columns(*order).where(id_ == _typed(id_, page.after))
            )
        ).one_or_none()
        if last is None:
            raise InvalidRequest(
                f"after={page.after!r} is not an item of this list; use an id that it gave.",
                param="after",
            )
        here, there = tuple_(*order), tuple_(*last)
        statement = statement.where(here > there if ascending else here < there)
    by = (column.asc() if ascending else column.desc() for column in order)
    statement = statement.order_by(*by).limit(page.limit + 1)
    rows = (await connection.execute(statement)).all()
    return rows[: page.limit], len(rows) > page.limit


def _typed(column: ColumnElement[Any], value: str) -> Any:
    if column.type.python_type is not int:
        return value
    return int(value) if value.isdecimal() and len(value) < 19 else -1
