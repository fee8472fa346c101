"""What `retrieval_peers.py` and the pipelines that it starts say to each other.

A pipeline reads one set as JSON from standard input, indexes it, answers every question, and writes
to standard output what it found and what that took. It imports nothing of this project, because it
runs under another Python.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from typing import TypedDict

DEPTH = 50
"""Pieces that a pipeline is asked for; several may be of one document."""

WARM_UP = "What is this about?"
"""Asked once before the clock runs."""

Found = Callable[[str], list[str]]
"""A question to the names of documents, best first."""


class Asked(TypedDict):
    """One set."""

    model: str
    """Folder of the embedding model."""
    documents: dict[str, tuple[str, str]]
    """Title and text by name."""
    questions: list[str]


class Answered(TypedDict):
    """What one way to search found."""

    found: list[list[str]]
    """Names of documents, best first, for each question."""
    seconds: list[float]
    """For each question, the embedding of it included."""
    cpu_seconds: float
    """Of the whole process, for all questions."""


def answer(build: Callable[[Asked], dict[str, Found]]) -> None:
    """Read a set, build the ways to search it, and write what each of them finds."""
    asked: Asked = json.load(sys.stdin)
    # What a library prints must not get into the answer.
    channel, sys.stdout = sys.stdout, sys.stderr
    ways = build(asked)
    json.dump({name: _timed(search, asked["questions"]) for name, search in ways.items()}, channel)


def unique(names: Iterable[str]) -> list[str]:
    """Keep the best place of each document."""
    return list(dict.fromkeys(names))


def _timed(search: Found, questions: list[str]) -> Answered:
    search(WARM_UP)
    found, seconds, began = [], [], time.process_time()
    for question in questions:
        started = time.perf_counter()
        found.append(search(question))
        seconds.append(time.perf_counter() - started)
    return Answered(found=found, seconds=seconds, cpu_seconds=time.process_time() - began)
