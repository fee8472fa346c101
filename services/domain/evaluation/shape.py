"""Checks of an answer's form: JSON by a schema, language, length."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import regex
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

from services.contracts.evaluation_cases import InLanguage, JsonSchema, Length
from services.contracts.evaluations import CheckResult
from services.domain.evaluation.answers import Answer
from services.domain.evaluation.matching import REGEX_SECONDS, short, told
from services.domain.evaluation.texts import normalised, without_markers
from services.domain.language import language_of

_FENCED = re.compile(r"\A\s*```[a-zA-Z]*\n(?P<inside>.*?)\n?```\s*\Z", re.DOTALL)


def json_schema(check: JsonSchema, answer: Answer) -> CheckResult:
    """Read the answer as JSON and hold it against a schema."""
    fenced = _FENCED.match(answer.text)
    try:
        value = json.loads(fenced["inside"] if fenced else answer.text)
    except ValueError:
        return told(check.kind, passed=False, why=f"{short(answer.text)} is no JSON")
    except RecursionError:
        return told(check.kind, passed=False, why="the JSON is nested too deeply")
    validator = _Validator(check.json_schema, registry=Registry())
    try:
        fault = next(validator.iter_errors(value), None)
    except (Unresolvable, RecursionError, TimeoutError) as error:
        return told(
            check.kind, passed=False, why=f"the schema cannot be applied: {type(error).__name__}"
        )
    if fault is None:
        return told(check.kind, passed=True, why="valid")
    return told(check.kind, passed=False, why=f"{fault.json_path}: {short(fault.message)}")


def schema_fault(schema: Mapping[str, Any]) -> str | None:
    """Say why a schema is none; None when it is one."""
    fault = next(Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema), None)
    if fault is not None:
        return f"{fault.json_path}: {fault.message}"
    foreign = [ref for ref in _references(schema) if not ref.startswith("#")]
    return f"{foreign[0]!r} lies outside the schema" if foreign else None


def language(check: InLanguage, question: str, answer: Answer) -> CheckResult:
    """Compare the answer's language with the one wanted."""
    wanted = check.language or language_of(question)
    said = language_of(without_markers(answer.text))
    return told(check.kind, passed=said == wanted, why=f"{said} against {wanted}")


def length(check: Length, answer: Answer) -> CheckResult:
    """Measure the answer without its markers."""
    bare = without_markers(answer.text).strip()
    size = len(bare) if check.unit == "characters" else len(normalised(bare).split())
    passed = check.at_least <= size and (check.at_most is None or size <= check.at_most)
    limits = f"{check.at_least} to {'any' if check.at_most is None else check.at_most}"
    return told(check.kind, passed=passed, why=f"{size} {check.unit}, {limits} wanted")


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key in ("$ref", "$dynamicRef") and isinstance(value, str):
                yield value
            else:
                yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    """Apply the keyword `pattern` for a bounded time."""
    if isinstance(instance, str) and not regex.search(pattern, instance, timeout=REGEX_SECONDS):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


_Validator = extend(Draft202012Validator, {"pattern": _pattern})
