"""The loop inside a child process."""

from __future__ import annotations

import pickle
import socket
import threading
from collections.abc import Sequence
from typing import Any

from services.retriever.answers import LENGTH, MOST_TOGETHER, Together, answer_parent, frame


def doubled(number: int) -> int:
    if number < 0:
        raise ValueError("too small")
    return number * 2


def answers(calls: Sequence[tuple[str, int]], together: Together) -> list[Any]:
    """Send calls that all wait already, and read what comes back until the child ends."""
    ours, theirs = socket.socketpair()
    with ours:
        messages = [frame((at, name, (value,))) for at, (name, value) in enumerate(calls)]
        ours.sendall(b"".join(messages))
        ours.shutdown(socket.SHUT_WR)
        answer_parent(theirs.detach(), {"double": doubled, "keep": int}, {"double": together})
        with ours.makefile("rb") as incoming:
            read = []
            while header := incoming.read(LENGTH.size):
                read.append(pickle.loads(incoming.read(*LENGTH.unpack(header))))
            return read


def test_calls_of_one_name_that_wait_are_answered_together_and_in_their_order() -> None:
    shared: list[list[int]] = []

    def together(numbers: Sequence[int]) -> list[int]:
        shared.append([*numbers])
        return [*map(doubled, numbers)]

    calls = [("double", 1), ("double", 2), ("keep", 7), ("double", 3)]
    assert answers(calls, together) == [(0, True, 2), (1, True, 4), (2, True, 7), (3, True, 6)]
    assert shared == [[1, 2], [3]]


def test_no_more_calls_are_answered_together_than_may_be() -> None:
    shared: list[int] = []

    def together(numbers: Sequence[int]) -> list[int]:
        shared.append(len(numbers))
        return [*map(doubled, numbers)]

    calls = [("double", number) for number in range(MOST_TOGETHER + 3)]
    assert len(answers(calls, together)) == len(calls)
    assert shared == [MOST_TOGETHER, 3]


def test_of_calls_that_are_answered_together_a_bad_one_fails_alone() -> None:
    def together(numbers: Sequence[int]) -> list[int]:
        return [*map(doubled, numbers)]

    assert answers([("double", 1), ("double", -1), ("double", 2)], together) == [
        (0, True, 2),
        (1, False, "ValueError: too small"),
        (2, True, 4),
    ]


def test_a_call_that_comes_in_pieces_is_read_whole() -> None:
    long = "x" * (3 << 20)
    ours, theirs = socket.socketpair()

    def send() -> None:
        ours.sendall(frame((1, "length", (long,))))
        ours.shutdown(socket.SHUT_WR)

    with ours:
        sending = threading.Thread(target=send)
        sending.start()
        answer_parent(theirs.detach(), {"length": len})
        sending.join()
        answer = ours.recv(1 << 16)
    assert pickle.loads(answer[LENGTH.size :]) == (1, True, len(long))
