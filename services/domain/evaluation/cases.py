"""Sets of cases: read from JSON lines, named by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pydantic import ValidationError

from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.wire import said_of
from services.domain.evaluation.judging import faults


class CasesError(ValueError):
    """A line is no case; the text says which, and why."""

    def __init__(self, line: int | None, reason: str) -> None:
        where = f"line {line}: " if line is not None else ""
        super().__init__(f"{where}{reason}")
        self.line = line


def read_cases(text: str, *, most: int) -> list[EvaluationCase]:
    """Read a set of JSON lines.

    Args:
        most: how many cases a set may have.

    Raises:
        CasesError: a line is no case, an id stands twice, or there are none or too many.
    """
    cases: dict[str, EvaluationCase] = {}
    # Not `splitlines`: a question may hold a line separator of Unicode.
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if not line.strip():
            continue
        case = _case(number, line)
        if case.id in cases:
            raise CasesError(number, f"the id {case.id!r} stands twice")
        cases[case.id] = case
        if len(cases) > most:
            raise CasesError(number, f"a set has at most {most} cases; split it")
    if not cases:
        raise CasesError(None, "there are no cases; write one JSON object a line")
    return list(cases.values())


def dataset_hash(cases: Sequence[EvaluationCase]) -> str:
    """Name a set by its content: 12 hex of sha256; the order and unset fields do not matter."""
    lines = sorted(case.model_dump_json(exclude_defaults=True) for case in cases)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def _case(number: int, line: str) -> EvaluationCase:
    try:
        case = EvaluationCase.model_validate_json(line)
    except ValidationError as error:
        told = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in told["loc"])
        raise CasesError(number, f"{where}: {said_of(told)}" if where else said_of(told)) from error
    if (fault := next(faults(case), None)) is not None:
        raise CasesError(number, fault)
    return case
