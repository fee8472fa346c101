"""Reading server-sent events: the same events come out whatever pieces the bytes came in."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import UpstreamFailed
from services.gateway.clients.events import EventDecoder, is_done

STREAM = (
    ': ping\n\ndata: {"a": "가나다"}\n\nevent: note\ndata: {"b": 1}\n\n'
    "data:two\ndata: lines\n\ndata: [DONE]\n\n"
).encode()
EVENTS = ['{"a": "가나다"}'.encode(), b'{"b": 1}', b"two\nlines", b"[DONE]"]


def decoded(pieces: list[bytes]) -> list[bytes]:
    decoder = EventDecoder()
    return [data for piece in pieces for data in decoder.feed(piece)]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_pieces_do_not_matter(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in itertools.pairwise(places)]
    assert decoded(pieces) == EVENTS


@given(st.lists(st.integers(0, len(STREAM) + 12), max_size=12))
def test_carriage_returns_do_not_matter(cuts: list[int]) -> None:
    stream = STREAM.replace(b"\n", b"\r\n")
    places = [0, *sorted(cuts), len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert decoded(pieces) == EVENTS


def test_an_unfinished_event_is_not_handed_out() -> None:
    assert decoded([b'data: {"a": 1}\n']) == []


def test_an_event_without_end_is_an_error() -> None:
    decoder = EventDecoder(max_bytes=64)
    decoder.feed(b"data: for ever" + b" and ever" * 5)
    with pytest.raises(UpstreamFailed) as caught:
        decoder.feed(b" and ever" * 5)
    assert caught.value.code == "engine_failed"


def test_only_the_end_mark_is_the_end() -> None:
    assert is_done(b"[DONE]")
    assert not is_done(b'{"text": "[DONE]"}')
