"""Prompts for a teacher: read from JSON lines, each asked once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from services.contracts.distillation import DistilPrompt
from services.contracts.evaluation_cases import (
    Abstains,
    Check,
    CitationRecall,
    Contains,
    EvaluationCase,
    InLanguage,
    JsonSchema,
    Length,
    Turn,
)
from services.contracts.wire import said_of
from services.domain.datasets.examples import plain
from services.domain.evaluation.answers import Answer
from services.domain.evaluation.cases import CasesError
from services.domain.evaluation.judging import faults
from services.domain.evaluation.texts import without_markers

FORMS = {"exact", "normalised", "label", "numeric", "regex", "json_schema", "language"}
"""Checks that say how an answer is written, so that its language is not another question."""

FEWEST_LETTERS = 8
"""With fewer letters a text is a number, a name or a label, in no language."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of a file."""

    asked: dict[str, DistilPrompt]
    """By the key of their content, in the order of the file."""
    repeated: int
    """Lines that ask what an earlier line asks."""


@dataclass(frozen=True, slots=True)
class Standard:
    """What an answer must show beside the checks of its prompt."""

    checks: Sequence[Check] = ()
    """Of every answer."""
    schema: dict[str, object] | None = None
    """The profile's output schema."""
    same_language: bool = True
    """Whether the answer must be in the question's language."""
    cite: bool = True
    """Whether an answer to passages must cite them."""
    support: float = 0.5
    """The least share of an answer's sentences that what they cite supports."""


def read_prompts(text: str, *, most: int) -> Prompts:
    """Read JSON lines.

    Args:
        most: how many prompts a file may have.

    Raises:
        CasesError: a line is no prompt, an id stands twice, or there are none or too many.
    """
    found, ids, repeated = dict[str, DistilPrompt](), set[str](), 0
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if not line.strip():
            continue
        prompt = _prompt(number, line)
        if prompt.id in ids:
            raise CasesError(number, f"the id {prompt.id!r} stands twice")
        ids.add(str(prompt.id))
        key = key_of(prompt.turns)
        if key in found:
            repeated += 1
            continue
        found[key] = prompt
        if len(found) > most:
            raise CasesError(number, f"a file has at most {most} prompts; split it")
    if not found:
        raise CasesError(None, "there are no prompts; write one JSON object a line")
    return Prompts(found, repeated)


def key_of(turns: Sequence[Turn]) -> str:
    """Name a prompt by its content: 16 hex of sha256; case, width and space do not matter."""
    folded = [[turn.role, plain(turn.content)] for turn in turns]
    return hashlib.sha256(json.dumps(folded, ensure_ascii=False).encode()).hexdigest()[:16]


def case_of(
    prompt: DistilPrompt, standard: Standard, answer: Answer, *, grounded: bool
) -> EvaluationCase:
    """Write what an answer to a prompt must show as a case, for the checks to judge it.

    An answer that says that the passages do not tell cites nothing and has no schema.

    Args:
        grounded: whether passages stand in the prompt.
    """
    abstained = answer.abstained
    checks = [*prompt.checks, *standard.checks]
    if not prompt.checks and prompt.expected is not None:
        checks.append(Contains(kind="contains"))
    named = {check.kind for check in checks}
    if "length" not in named:
        checks.append(Length(kind="length"))
    if standard.schema is not None and not abstained:
        checks.append(JsonSchema(kind="json_schema", json_schema=dict(standard.schema)))
    elif standard.same_language and not named & FORMS and _is_prose(answer.text):
        checks.append(InLanguage(kind="language"))
    if grounded and prompt.answerable is not None and "abstains" not in named:
        checks.append(Abstains(kind="abstains", wanted=not prompt.answerable))
    if grounded and standard.cite and standard.schema is None and not abstained:
        checks.append(CitationRecall(kind="citation_recall", at_least=standard.support))
    return EvaluationCase(
        id=prompt.id or "prompt",
        question=prompt.question,
        messages=prompt.messages,
        expected=prompt.expected,
        checks=checks,
        tags=prompt.tags,
    )


def _is_prose(text: str) -> bool:
    return sum(map(str.isalpha, without_markers(text))) >= FEWEST_LETTERS


def _prompt(number: int, line: str) -> DistilPrompt:
    try:
        prompt = DistilPrompt.model_validate_json(line)
    except ValidationError as error:
        told = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in told["loc"])
        said = said_of(told)
        raise CasesError(number, f"{where}: {said}" if where else said) from error
    named = prompt if prompt.id else prompt.model_copy(update={"id": f"line-{number}"})
    if named.checks:
        try:
            case = case_of(named, Standard(), Answer(""), grounded=False)
        except ValidationError as error:
            raise CasesError(number, said_of(error.errors(include_url=False)[0])) from error
        if (fault := next(faults(case), None)) is not None:
            raise CasesError(number, fault)
    return named
