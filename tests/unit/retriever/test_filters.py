"""Metadata and groups as the index compares them; what filters find is in the index's contract."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from services.contracts.knowledge import Filter
from services.retriever.errors import FilterInvalid, FilterTooLarge
from services.retriever.filters import (
    filter_condition,
    readers_condition,
    scope_of,
    stored_facts,
    stored_numbers,
    stored_readers,
)
from services.retriever.index.port import AnyOf, Condition

KEYS = st.text(min_size=1, max_size=64)
SCALARS = st.one_of(st.text(), st.integers(), st.floats(), st.booleans())


def condition(wanted: dict[str, Any], most: int = 64) -> Condition:
    parsed: Filter = TypeAdapter(Filter).validate_python(wanted)
    return filter_condition(parsed, most)


@given(KEYS, SCALARS)
def test_equality_looks_for_what_storing_wrote(key: str, value: str | float | bool) -> None:
    asked = condition({"type": "eq", "key": key, "value": value})
    assert asked == AnyOf("facts", stored_facts({key: value}))


@given(st.tuples(KEYS, SCALARS), st.tuples(KEYS, SCALARS))
def test_facts_are_equal_only_when_key_type_and_value_are(
    one: tuple[str, Any], other: tuple[str, Any]
) -> None:
    def kind(value: object) -> str:
        return "bool" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"

    def same_value(left: Any, right: Any) -> bool:
        return bool(left == right or (left != left and right != right))

    same = one[0] == other[0] and kind(one[1]) == kind(other[1]) and same_value(one[1], other[1])
    facts = [stored_facts({key: value}) for key, value in (one, other)]
    if same:
        assert facts[0] == facts[1]
    elif all(abs(value) < 1e300 for _, value in (one, other) if kind(value) == "number"):
        assert facts[0] != facts[1]


def test_a_key_cannot_be_continued_by_its_value() -> None:
    assert stored_facts({"a": "b=s:c"}) != stored_facts({"a=s:b": "c"})


@given(st.dictionaries(KEYS, SCALARS, max_size=4))
def test_nothing_a_caller_sends_stands_in_the_index_as_it_was(metadata: dict[str, Any]) -> None:
    for fact in stored_facts(metadata):
        assert len(fact) == 24
        assert fact.isalnum()
    for key, numbers in stored_numbers(metadata).items():
        assert key.partition("_")[0] in ("number", "time")
        assert key.partition("_")[2].isalnum()
        assert all(number == number for number in numbers)


def test_lists_are_stored_value_by_value_once() -> None:
    assert len(stored_facts({"tags": ["a", "b", "a"]})) == 2
    assert [*stored_numbers({"years": [2020, 2021, True, "x"]}).values()] == [[2020.0, 2021.0]]


def test_a_date_without_a_zone_is_meant_in_utc() -> None:
    without, zoned = (
        stored_numbers({"d": "2024-01-01T00:00:00"}),
        stored_numbers({"d": "2024-01-01T09:00:00+09:00"}),
    )
    assert without == zoned


@given(st.lists(st.text(min_size=1), max_size=5), st.lists(st.text(min_size=1), max_size=5))
def test_a_document_is_open_when_it_names_no_group_or_one_of_the_callers(
    allowed: list[str], groups: list[str]
) -> None:
    asked = readers_condition("acme", ["docs"], groups)
    assert isinstance(asked, AnyOf)
    visible = bool(set(asked.values) & set(stored_readers("acme", "docs", allowed)))
    assert visible == (not allowed or bool(set(allowed) & set(groups)))


def test_scope_and_reader_have_one_reading_together() -> None:
    (one,) = stored_readers("x", "c", ["y/d group:z"])
    (other,) = stored_readers("x/c group:y", "d", ["z"])
    assert one != other


def test_a_scope_has_one_reading() -> None:
    assert scope_of("a/b", "c") != scope_of("a", "b")
    assert scope_of("a/b", "c").rpartition("/") == ("a/b", "/", "c")


@pytest.mark.parametrize("kind", ["gt", "gte", "lt", "lte"])
@pytest.mark.parametrize("value", ["soon", True, [1], float("nan")])
def test_a_range_needs_a_number_or_a_date(kind: str, value: object) -> None:
    with pytest.raises(FilterInvalid):
        condition({"type": kind, "key": "a", "value": value})


def test_every_test_and_every_value_of_a_list_counts_towards_the_limit() -> None:
    one = {"type": "eq", "key": "a", "value": 1}
    condition({"type": "and", "filters": [one] * 3}, most=4)
    with pytest.raises(FilterTooLarge):
        condition({"type": "and", "filters": [one] * 4}, most=4)
    with pytest.raises(FilterTooLarge):
        condition({"type": "in", "key": "a", "value": [1, 2, 3, 4]}, most=4)
