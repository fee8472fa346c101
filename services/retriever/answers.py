"""The loop inside a child process that answers its parent's calls, and how a call is written."""

from __future__ import annotations

import itertools
import pickle
import socket
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

LENGTH = struct.Struct(">Q")
"""What stands before every message: its length."""

READ_BYTES = 1 << 20
"""What is read at once."""

MOST_TOGETHER = 32
"""Calls that are answered together; the first of them waits for the last."""

Function = Callable[..., Any]
Together = Callable[[Sequence[Any]], Sequence[Any]]
"""Answers several calls of one argument each, in their order, for less than each for itself."""

_Call = tuple[int, str, tuple[Any, ...]]
_Answer = tuple[int, bool, Any]


def frame(message: object) -> bytes:
    """Write a message, its length before it."""
    payload = pickle.dumps(message, protocol=5)
    return LENGTH.pack(len(payload)) + payload


def answer_parent(
    descriptor: int,
    functions: Mapping[str, Function],
    together: Mapping[str, Together] | None = None,
) -> None:
    """Answer the parent's calls in their order until it goes away.

    Args:
        descriptor: the socket to the parent.
        functions: answers one call.
        together: answers calls of one name that wait one behind the other.
    """
    with socket.socket(fileno=descriptor) as connection:
        for calls in _waiting_calls(connection):
            for name, run in itertools.groupby(calls, key=lambda call: call[1]):
                shared = (together or {}).get(name)
                for answers in _answers(functions[name], shared, list(run)):
                    try:
                        connection.sendall(b"".join(map(frame, answers)))
                    except OSError:
                        return


def _answers(
    function: Function, together: Together | None, calls: Sequence[_Call]
) -> Iterator[list[_Answer]]:
    if together is None:
        yield from ([_answer(function, call)] for call in calls)
        return
    for at in range(0, len(calls), MOST_TOGETHER):
        part = calls[at : at + MOST_TOGETHER]
        try:
            values = together([argument for _, _, (argument,) in part])
        except Exception:  # noqa: BLE001 - whichever call is to blame fails alone
            yield [_answer(function, call) for call in part]
        else:
            yield [(call[0], True, value) for call, value in zip(part, values, strict=True)]


def _answer(function: Function, call: _Call) -> _Answer:
    number, _, arguments = call
    try:
        return number, True, function(*arguments)
    except Exception as error:  # noqa: BLE001 - the engine raises plain Exception
        return number, False, f"{type(error).__name__}: {error}"


def _waiting_calls(connection: socket.socket) -> Iterator[list[_Call]]:
    """Read whatever calls have come, at least one, until the parent goes away."""
    unread = bytearray()
    while come := _come(connection):
        unread += come
        if calls := [*_whole_calls(unread)]:
            yield calls


def _come(connection: socket.socket) -> bytes:
    """Wait for bytes; a parent that was killed is one that went away."""
    try:
        return connection.recv(READ_BYTES)
    except ConnectionError:
        return b""


def _whole_calls(unread: bytearray) -> Iterator[_Call]:
    """Take the messages that have come whole."""
    while len(unread) >= LENGTH.size:
        (size,) = LENGTH.unpack_from(unread)
        end = LENGTH.size + size
        if len(unread) < end:
            return
        yield pickle.loads(memoryview(unread)[LENGTH.size : end])  # noqa: S301 - our own parent
        del unread[:end]
