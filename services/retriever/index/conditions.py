"""Conditions as the embedded Qdrant core tests them.

The core walks the points that one indexed value lists and, when the filter says nothing more, tests
none of them. One value asked for as such, at the top of the filter, makes that possible: measured
over 100,000 points, ten values or one nested a level deeper cost the scan three to five times as
much.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import qdrant_edge as qdrant

from services.retriever.index.port import AllOf, AnyOf, Condition, InRange, NoneOf, OneOf

MOST_SEPARATE = 32
"""Values of one field that are asked for one by one; a longer list is asked for as a set."""


def filter_of(condition: Condition) -> qdrant.Filter:
    """Translate a condition."""
    must: list[Any] = []
    should: list[Any] = []
    must_not: list[Any] = []
    for part in _parts(condition):
        match part:
            case AnyOf(field, values) if 1 < len(values) <= MOST_SEPARATE and not should:
                should = [_has(field, value) for value in values]
            case NoneOf(conditions):
                must_not.extend(_condition(each) for each in conditions)
            case _:
                must.append(_condition(part))
    return qdrant.Filter(must=must or None, should=should or None, must_not=must_not or None)


def filter_of_points(ids: Iterable[str]) -> qdrant.Filter:
    """Match points by their ids."""
    return qdrant.Filter(must=[qdrant.HasIdCondition({*ids})])


def _parts(condition: Condition) -> Iterator[Condition]:
    """List what must all hold."""
    if isinstance(condition, AllOf):
        for each in condition.conditions:
            yield from _parts(each)
    else:
        yield condition


def _condition(condition: Condition) -> Any:
    match condition:
        case AnyOf(field, (value,)):
            return _has(field, value)
        case AnyOf(field, values):
            return qdrant.FieldCondition(field, match=qdrant.MatchAny(list[Any](values)))
        case InRange(field, gt, gte, lt, lte):
            bounds = qdrant.RangeFloat(gt=gt, gte=gte, lt=lt, lte=lte)
            return qdrant.FieldCondition(field, range=bounds)
        case OneOf(conditions):
            return qdrant.Filter(should=[_condition(each) for each in conditions])
        case _:
            return filter_of(condition)


def _has(field: str, value: str | int) -> qdrant.FieldCondition:
    return qdrant.FieldCondition(field, match=qdrant.MatchValue(value))
