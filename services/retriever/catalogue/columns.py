"""Types of columns that SQLite and Postgres keep alike."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Dialect, Integer, String, cast, func
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator, TypeEngine

REPLACEMENT = "\ufffd"
"""Stands for the character 0, which Postgres keeps in no text; spans count it as one as well."""

Number = BigInteger().with_variant(Integer(), "sqlite")
"""A whole number of 64 bits; SQLite numbers rows by itself only under this other name."""


class Words(TypeDecorator[str]):
    """A text, ordered by its characters' numbers and not by the rules of a language."""

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the database's own type."""
        on_postgres = dialect.name == "postgresql"
        return dialect.type_descriptor(String(collation="C") if on_postgres else String())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Write what the database can keep."""
        if value is None or dialect.name != "postgresql":
            return value
        return value.replace("\0", REPLACEMENT)


def total(column: ColumnElement[int]) -> ColumnElement[int]:
    """Add numbers up to a number; Postgres makes a decimal of them by itself."""
    return cast(func.coalesce(func.sum(column), 0), Number)


class json_texts(GenericFunction[str]):  # noqa: N801 - the name that it has in a statement
    """The texts of a JSON array, as rows."""

    name = "json_each"
    inherit_cache = True


@compiles(json_texts, "postgresql")
def _json_texts(element: json_texts, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_array_elements_text({compiler.process(element.clauses, **options)})"
