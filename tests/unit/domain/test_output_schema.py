"""Output schemas: what can be enforced passes, what cannot is named with its place."""

from __future__ import annotations

import re
from typing import Any

import pytest

from services.domain.output_schema import MOST_BYTES, SchemaError, check_schema


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


GOOD: list[dict[str, Any]] = [
    {},
    {
        "type": "object",
        "properties": {
            "답": {"type": "string", "minLength": 1, "maxLength": 200},
            "citations": {"type": "array", "items": {"type": "integer", "minimum": 1}},
        },
        "required": ["답"],
        "additionalProperties": False,
    },
    {"$defs": {"a/b": {"enum": [1, "x", None]}}, "$ref": "#/$defs/a~1b"},
    {"type": ["string", "null"], "pattern": r"^\d+$"},
    {"anyOf": [{"const": 1}, True], "not": {"type": "array"}},
    {"properties": {"child": {"$ref": "#"}}},
    nested(30),
]


@pytest.mark.parametrize("schema", GOOD)
def test_a_schema_that_can_be_enforced_passes(schema: dict[str, Any]) -> None:
    check_schema(schema)


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "text"}, "#/type is 'text'"),
        ({"type": []}, "#/type names no type"),
        ({"properties": {"a": {"type": 3}}}, "#/properties/a/type is 3"),
        ({"properties": ["a"]}, "#/properties is not an object"),
        ({"items": "string"}, "#/items is no schema but a str"),
        ({"anyOf": []}, "#/anyOf is not a list"),
        ({"enum": []}, "#/enum"),
        ({"pattern": "("}, "#/pattern is no regular expression"),
        ({"pattern": 5}, "#/pattern is no regular expression"),
        ({"minLength": -1}, "#/minLength"),
        ({"minimum": "1"}, "#/minimum is not a number"),
        ({"minItems": 3, "maxItems": 2}, "no value meets both"),
        ({"required": "a"}, "#/required is not a list"),
        ({"required": ["a"], "additionalProperties": False}, "names 'a'"),
        ({"$ref": "#/$defs/a"}, "does not hold"),
        ({"$ref": "https://example.org/schema"}, "within the schema"),
        (nested(40), "deeper"),
        ({"description": "x" * MOST_BYTES}, "larger"),
    ],
)
def test_one_that_cannot_is_refused_with_its_place(schema: dict[str, Any], says: str) -> None:
    with pytest.raises(SchemaError, match=re.escape(says)):
        check_schema(schema)
