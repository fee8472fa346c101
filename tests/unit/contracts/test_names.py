"""Names that the outside chooses: what is taken, and what would name something else."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from services.contracts.adapters import AdapterName, AdapterVersionId
from services.contracts.assistants import AssistantName
from services.contracts.knowledge import CollectionName, DocumentId, SearchQuery

DOCUMENT = TypeAdapter[str](DocumentId)
VERSION = TypeAdapter[str](AdapterVersionId)


@pytest.mark.parametrize(
    "name",
    [
        "환불 안내.md",
        "a",
        ".hidden",
        "..b",
        "...",
        "....",
        "v1.2",
        "a..b",
        "percent%2F",
        "😀",
        "x" * 255,
    ],
)
def test_a_document_may_have_any_name_in_any_script(name: str) -> None:
    assert DOCUMENT.validate_python(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", "a\x00", "a\nb", "a\n", "../a", "x" * 256]
)
def test_a_document_name_that_could_be_another_path_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        DOCUMENT.validate_python(name)


@pytest.mark.parametrize("kind", [AdapterName, AssistantName, CollectionName])
def test_names_that_become_paths_are_plain(kind: type[str]) -> None:
    adapter = TypeAdapter[str](kind)
    assert adapter.validate_python("support-style_2") == "support-style_2"
    for refused in ("", "..", ".a", "-a", "A", "a/b", "가", "a b", "a\n", "x" * 64):
        with pytest.raises(ValidationError):
            adapter.validate_python(refused)


def test_an_adapter_version_is_a_name_and_twelve_hex_digits() -> None:
    assert VERSION.validate_python("voice@0123456789ab")
    for refused in ("voice", "voice@0123", "voice@0123456789AB", "../x@0123456789ab", "voice@"):
        with pytest.raises(ValidationError):
            VERSION.validate_python(refused)


def test_a_misspelt_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="topk"):
        SearchQuery.model_validate({"query": "q", "topk": 3})


def test_a_filter_nests_and_knows_its_operators() -> None:
    nested = {
        "type": "and",
        "filters": [
            {"type": "in", "key": "언어", "value": ["ko", "en"]},
            {"type": "not", "filter": {"type": "eq", "key": "초안", "value": True}},
        ],
    }
    query = SearchQuery.model_validate({"query": "q", "filter": nested})
    assert query.model_dump(mode="json")["filter"] == nested
    for broken in ({"type": "like", "key": "a", "value": "b"}, {"type": "and", "filters": []}):
        with pytest.raises(ValidationError):
            SearchQuery.model_validate({"query": "q", "filter": broken})
