"""JSON to lines."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.retriever.parsing.structured import json_as_lines, json_lines


def test_each_value_stands_behind_the_names_that_lead_to_it() -> None:
    document = {"상품": {"이름": "우산", "값": 9900, "재고": True}, "색": ["빨강", "파랑"]}
    assert json_as_lines(json.dumps(document)).splitlines() == [
        *("상품.이름: 우산", "상품.값: 9900", "상품.재고: true", "색: 빨강, 파랑"),
    ]


def test_records_of_a_list_are_paragraphs() -> None:
    text = json_as_lines('[{"이름": "우산", "값": 1}, {"이름": "장화", "값": null}]')
    assert text.strip().split("\n\n") == ["이름: 우산\n값: 1", "이름: 장화\n값: null"]


@pytest.mark.parametrize("text", ["{broken", "just words", "[" * 5000])
def test_what_is_no_json_stays_as_it_is(text: str) -> None:
    assert json_as_lines(text) == text


def test_a_file_of_one_record_a_line_is_read_whatever_its_name() -> None:
    text = '{"a": 1}\n{"a": "둘"}\nno record\n'
    assert json_lines(text) == json_as_lines(text) == "a: 1\n\na: 둘\n\nno record"


def test_deep_names_are_cut_to_the_nearest() -> None:
    document: object = "끝"
    for n in range(500):
        document = {f"n{n}": document}
    assert json_as_lines(json.dumps(document)) == "n3.n2.n1.n0: 끝"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=30,
)


@given(JSON)
def test_every_text_of_a_document_is_kept(document: object) -> None:
    text = json_as_lines(json.dumps(document))
    for value in _texts(document):
        assert value in text


def _texts(document: object) -> list[str]:
    if isinstance(document, str):
        return [document]
    if isinstance(document, dict):
        return _texts([*document.values()])
    return (
        [text for each in document for text in _texts(each)] if isinstance(document, list) else []
    )
