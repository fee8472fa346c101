"""Whether a profile's output schema can be enforced, checked when it is written.

Only what JSON Schema 2020-12 itself calls wrong is found, and what no answer could meet; keywords
that an engine does not know are the engine's affair.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

MOST_BYTES = 65_536
"""The largest schema, as JSON."""

MOST_LEVELS = 32
"""How deeply schemas may be nested."""

_TYPES = frozenset({"null", "boolean", "object", "array", "number", "string", "integer"})
_ONE = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
_MANY = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_RANGES = (
    ("minLength", "maxLength"),
    ("minItems", "maxItems"),
    ("minProperties", "maxProperties"),
    ("minimum", "maximum"),
)


class SchemaError(ValueError):
    """The schema is no JSON schema, or nothing could meet it; the text says where and why."""


def check_schema(schema: dict[str, Any]) -> None:
    """Check a schema from its root.

    Raises:
        SchemaError: the first thing that is wrong.
    """
    if len(json.dumps(schema).encode()) > MOST_BYTES:
        raise SchemaError(f"it is larger than {MOST_BYTES} bytes")
    _check(schema, schema, "#", 0)


def _check(schema: Any, root: dict[str, Any], at: str, level: int) -> None:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        raise SchemaError(f"{at} is no schema but {_kind(schema)}")
    if level > MOST_LEVELS:
        raise SchemaError(f"{at} is nested deeper than {MOST_LEVELS} levels")
    _check_type(schema, at)
    _check_choices(schema, at)
    _check_bounds(schema, at)
    _check_required(schema, at)
    _check_reference(schema, root, at)
    for place, inner in _inner(schema, at):
        _check(inner, root, place, level + 1)


def _check_type(schema: dict[str, Any], at: str) -> None:
    if "type" not in schema:
        return
    named = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    for each in named:
        if not isinstance(each, str) or each not in _TYPES:
            raise SchemaError(
                f"{at}/type is {each!r}, which is none of {', '.join(sorted(_TYPES))}"
            )
    if not named:
        raise SchemaError(f"{at}/type names no type")


def _check_choices(schema: dict[str, Any], at: str) -> None:
    if "enum" in schema and (not isinstance(schema["enum"], list) or not schema["enum"]):
        raise SchemaError(f"{at}/enum is not a list of the values that are possible")
    if "pattern" in schema:
        try:
            re.compile(schema["pattern"])
        except (re.error, TypeError) as error:
            raise SchemaError(f"{at}/pattern is no regular expression: {error}") from error


def _check_bounds(schema: dict[str, Any], at: str) -> None:
    for name in _COUNTS:
        if name in schema and (type(schema[name]) is not int or schema[name] < 0):
            raise SchemaError(f"{at}/{name} is not a whole number from 0")
    for name in _NUMBERS:
        if name in schema and type(schema[name]) not in (int, float):
            raise SchemaError(f"{at}/{name} is not a number")
    for least, most in _RANGES:
        if least in schema and most in schema and schema[least] > schema[most]:
            raise SchemaError(f"{at}/{least} is greater than {most}: no value meets both")


def _check_required(schema: dict[str, Any], at: str) -> None:
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise SchemaError(f"{at}/required is not a list of names")
    known = schema.get("properties")
    if schema.get("additionalProperties") is False and "patternProperties" not in schema:
        absent = [name for name in required if not isinstance(known, dict) or name not in known]
        if absent:
            raise SchemaError(f"{at}/required names {absent[0]!r}, which no property may be called")


def _check_reference(schema: dict[str, Any], root: dict[str, Any], at: str) -> None:
    if "$ref" not in schema:
        return
    target = schema["$ref"]
    if not isinstance(target, str) or not target.startswith("#"):
        raise SchemaError(
            f"{at}/$ref is {target!r}; only references within the schema are followed"
        )
    found: Any = root
    for part in target.removeprefix("#").removeprefix("/").split("/") if target != "#" else ():
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or name not in found:
            raise SchemaError(f"{at}/$ref is {target!r}, which the schema does not hold")
        found = found[name]


def _inner(schema: dict[str, Any], at: str) -> Iterator[tuple[str, Any]]:
    """Yield the schemas within a schema, each with its place."""
    for name in _ONE:
        if name in schema:
            yield f"{at}/{name}", schema[name]
    for name in _MANY:
        if name not in schema:
            continue
        if not isinstance(schema[name], list) or not schema[name]:
            raise SchemaError(f"{at}/{name} is not a list of schemas")
        yield from ((f"{at}/{name}/{n}", inner) for n, inner in enumerate(schema[name]))
    for name in _NAMED:
        if name not in schema:
            continue
        if not isinstance(schema[name], dict):
            raise SchemaError(f"{at}/{name} is not an object of schemas")
        yield from ((f"{at}/{name}/{key}", inner) for key, inner in schema[name].items())


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
