"""Questions with the documents that answer them, and the configurations that are tried on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.cli.failures import CommandError
from services.cli.line_files import text_of
from services.contracts.knowledge import SearchQuery
from services.contracts.wire import said_of

WEIGHTS = ("dense", "lexical")
"""Fields of a configuration that stand in the search's `weights`."""

REFUSED = ("query", "top_k", "filter", "weights")
"""Fields of a search that a configuration may not set."""


class Case(BaseModel):
    """One line of a data set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(min_length=1)]
    question: Annotated[str, Field(min_length=1, max_length=8192)]
    relevant: Annotated[list[str], Field(min_length=1)]
    """Ids of the documents that answer it."""
    answers: list[str] = []
    """Texts of which one should stand in what is found."""
    tags: list[str] = []


@dataclass(frozen=True, slots=True)
class Configuration:
    """A way to search."""

    name: str
    fields: dict[str, Any]
    """Fields of `SearchQuery`."""


def read_cases(file: Path) -> list[Case]:
    """Read a data set of JSON lines.

    Raises:
        CommandError: the file cannot be read, a line is no case, an id stands twice, or there are
            no lines.
    """
    cases: dict[str, Case] = {}
    # Not `splitlines`: a question may hold a line separator of Unicode.
    for number, line in enumerate(text_of(file).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            case = Case.model_validate_json(line)
        except ValidationError as error:
            raise CommandError(f"{file}, line {number}: {_first(error)}.") from error
        if case.id in cases:
            raise CommandError(f"{file}, line {number}: the id {case.id!r} stands twice.")
        cases[case.id] = case
    if not cases:
        raise CommandError(f"{file} holds no cases; write one JSON object a line.")
    return list(cases.values())


def configuration_of(text: str) -> Configuration:
    """Read a configuration such as `mode=hybrid,dense=2,lexical=1,expand=section`.

    Raises:
        CommandError: a field is unknown, or its value is none that a search takes.
    """
    fields: dict[str, Any] = {}
    weights: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key in REFUSED:
            raise CommandError(f"{part!r} cannot be compared; write e.g. mode=dense,diversity=0.3.")
        (weights if key in WEIGHTS else fields)[key] = value
    if weights:
        fields["weights"] = weights
    try:
        query = SearchQuery.model_validate({"query": "?", **fields})
    except ValidationError as error:
        raise CommandError(f"{text!r}: {_first(error)}.") from error
    chosen = query.model_dump(mode="json", include=set(fields))
    return Configuration(text or "as configured", chosen)


def _first(error: ValidationError) -> str:
    told = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in told["loc"])
    return f"{where}: {said_of(told)}" if where else said_of(told)
