"""Citation markers: the same text comes out whatever pieces it came in."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.domain.citations import CitationFilter, Marker, check_citations, find_markers


def streamed(pieces: list[str], passages: int) -> tuple[str, list[int], int]:
    filter_ = CitationFilter(passages)
    text = "".join(filter_.push(piece) for piece in pieces) + filter_.close()
    return text, filter_.cited, filter_.invalid


@pytest.mark.parametrize(
    ("text", "cleaned", "cited", "invalid"),
    [
        ("Two days [1].", "Two days [1].", [1], 0),
        ("Two days [3].", "Two days.", [], 1),
        ("Both [2][1] and again [2].", "Both [2][1] and again [2].", [2, 1], 0),
        ("Both [1, 2].", "Both [1, 2].", [1, 2], 0),
        ("Half [1, 7].", "Half [1].", [1], 1),
        ("None [7,8].", "None.", [], 2),
        ("Zero [0] counts as none.", "Zero counts as none.", [], 1),
        ("환불은 30일입니다 [1]입니다.", "환불은 30일입니다 [1]입니다.", [1], 0),
        ("배송은 이틀입니다[9].", "배송은 이틀입니다.", [], 1),
        ("답은 다음과 같습니다[2]요.", "답은 다음과 같습니다[2]요.", [2], 0),
        ("A list[a] and [see] stay.", "A list[a] and [see] stay.", [], 0),
        ("Year [2024] is no marker.", "Year [2024] is no marker.", [], 0),
        ("Open [1", "Open [1", [], 0),
        ("", "", [], 0),
    ],
)
def test_a_whole_answer_is_checked(text: str, cleaned: str, cited: list[int], invalid: int) -> None:
    assert check_citations(text, passages=2) == (cleaned, cited, invalid)


def test_without_passages_every_marker_is_invalid() -> None:
    assert check_citations("Yes [1].", passages=0) == ("Yes.", [], 1)


def test_a_marker_split_over_three_pieces_is_still_removed() -> None:
    assert streamed(["Two days", " [", "9", "]", "."], 2) == ("Two days.", [], 1)


def test_ordinary_text_is_not_held_back() -> None:
    filter_ = CitationFilter(2)
    assert filter_.push("Two days") == "Two days"
    assert filter_.push(" left") == " left"


def test_only_an_unfinished_marker_is_held_back() -> None:
    filter_ = CitationFilter(2)
    assert filter_.push("Two days [1") == "Two days"
    assert filter_.push("]. Then") == " [1]. Then"


def test_a_bracket_that_is_no_marker_is_let_go_at_once() -> None:
    filter_ = CitationFilter(2)
    assert filter_.push("an [") == "an"
    assert filter_.push("x") == " [x"


def test_what_was_held_back_comes_out_at_the_end() -> None:
    filter_ = CitationFilter(2)
    assert filter_.push("See [1") == "See"
    assert filter_.close() == " [1"
    assert filter_.close() == ""


MARKERISH = st.text(alphabet=st.sampled_from("[]0123456789,  \n가다a.[1]"), max_size=80)


@given(
    text=MARKERISH,
    cuts=st.lists(st.integers(0, 80), max_size=12),
    passages=st.integers(0, 12),
)
@example(text="a [1, 2, 3, 4, 5, 6, 7, 8, 9] b", cuts=[4, 20, 24], passages=8)
@example(text="a [1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,9,9] b", cuts=list(range(46)), passages=8)
@example(text="a \n[9]", cuts=[3], passages=1)
@example(text="a\n\n[9]\n", cuts=[1, 2, 3, 4, 5, 6], passages=1)
def test_the_pieces_do_not_matter(text: str, cuts: list[int], passages: int) -> None:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(edges)]
    assert streamed(pieces, passages) == check_citations(text, passages)


@given(
    st.lists(st.sampled_from(["[1]", " [2]", " [7]", "[2, 99]", "[0]", "words ", "답변"])),
    st.integers(0, 8),
)
def test_no_marker_stays_that_names_no_passage(parts: list[str], passages: int) -> None:
    cleaned, cited, invalid = check_citations("".join(parts), passages)
    left = [int(n) for group in re.findall(r"\[([0-9, ]+)\]", cleaned) for n in group.split(",")]
    assert all(1 <= number <= passages for number in left)
    assert cited == list(dict.fromkeys(left))
    written = sum(part.count("[") + part.count(",") for part in parts)
    assert len(left) + invalid == written


@given(text=st.text(alphabet=st.characters(exclude_characters="[")))
def test_text_without_brackets_is_never_changed(text: str) -> None:
    assert check_citations(text, 3) == (text, [], 0)


def test_markers_are_found_where_they_stand() -> None:
    text = "환불은 30일입니다 [1]. Both [2, 3]입니다 and [x]."
    found = find_markers(text)
    assert found == [Marker(11, 14, (1,)), Marker(21, 27, (2, 3))]
    assert [text[marker.start : marker.end] for marker in found] == ["[1]", "[2, 3]"]
