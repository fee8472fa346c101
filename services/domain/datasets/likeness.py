"""Rows that are nearly the same, within a file and between a file and the cases that judge it.

Candidates come from MinHash signatures in buckets (A. Broder, "On the Resemblance and Containment
of Documents", 1997), so that 100,000 rows take seconds; each candidate is then compared exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from rensa import RMinHash, RMinHashLSH

from services.contracts.datasets import DatasetPolicy, Finding
from services.domain.datasets.examples import QUESTION_LABEL, Example, bare, plain
from services.domain.datasets.findings import Kind, share

LEAKED = Kind(
    "leaked_rows",
    "error",
    "Remove these rows from the training file; a model is not judged by what it has seen.",
)
NEARLY_LEAKED = Kind(
    "nearly_leaked_rows", "warning", "Look at these rows; remove those that give an answer away."
)
ALIKE = Kind(
    "near_duplicate_rows",
    "warning",
    "Keep the better of two rows that are alike; variety teaches more.",
)

SHINGLE = 5
"""Neighbouring characters that make one element of a text's set; for Hangul as for Latin."""

SHORTEST = 40
"""Characters; shorter texts are alike by chance, only their equality counts."""

PERMUTATIONS = 128
BANDS = 16
"""128 permutations in 16 bands find a pair with a Jaccard index of 0.8 with probability 0.95."""

SEED = 1


def near_duplicates(examples: Sequence[Example], policy: DatasetPolicy) -> Iterator[Finding]:
    """Find rows whose question and answer are both nearly those of an earlier row."""
    if found := alike(examples, policy):
        told = f"{share(len(found), len(examples))} are nearly the same as an earlier one"
        yield ALIKE.found(told, found)


def alike(examples: Sequence[Example], policy: DatasetPolicy) -> list[int]:
    """List the lines of rows whose question and answer are both nearly those of an earlier row."""
    texts = _distinctive([example.asked for example in examples])
    answers = [plain(example.answer) for example in examples]
    index, found = _Index(policy.alike_from), list[int]()
    for number, text in enumerate(texts):
        for other in index.like(text):
            same = text == texts[other] and answers[number] == answers[other]
            if not same and _are_alike(answers[number], answers[other], policy.alike_from):
                found.append(examples[number].line)
                break
        index.add(number, text)
    return found


def leaks(
    examples: Sequence[Example],
    judged: Sequence[str],
    policy: DatasetPolicy,
    *,
    label: str = QUESTION_LABEL,
) -> Iterator[Finding]:
    """Find rows of which a trained answer is to a question that the adapter will be judged by.

    Questions are compared without the passages that stand before them.

    Args:
        judged: the questions of the evaluation or validation set.
        label: what a question stands behind where passages come before it.
    """
    cases = {plain(bare(question, label)) for question in judged} - {""}
    if not cases:
        return
    asked = [example.asks(label) for example in examples]
    exact, rest = list[int](), list[tuple[int, list[str]]]()
    for example, questions in zip(examples, asked, strict=True):
        if cases.isdisjoint(questions):
            rest.append((example.line, questions))
        else:
            exact.append(example.line)
    if exact:
        yield LEAKED.found(f"{share(len(exact), len(examples))} ask what a case asks", exact)
    close = _nearly({one for questions in asked for one in questions}, cases, policy.alike_from)
    if near := [line for line, questions in rest if not close.isdisjoint(questions)]:
        told = f"{share(len(near), len(examples))} ask nearly what a case asks"
        yield NEARLY_LEAKED.found(told, near)


def _nearly(questions: set[str], cases: set[str], threshold: float) -> set[str]:
    """Choose the questions that are like one of the cases and are none."""
    both = sorted(questions | cases)
    texts = dict(zip(both, _distinctive(both), strict=True))
    index = _Index(threshold)
    for number, case in enumerate(sorted(cases)):
        index.add(number, texts[case])
    return {one for one in questions - cases if next(index.like(texts[one]), None) is not None}


class _Index:
    """Finds the texts that are like another one."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._buckets = RMinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, num_bands=BANDS)
        self._texts = dict[int, str]()

    def add(self, number: int, text: str) -> None:
        """Take a text in; short ones are never found."""
        if len(text) >= SHORTEST:
            self._texts[number] = text
            self._buckets.insert(number, _signature(text))

    def like(self, text: str) -> Iterator[int]:
        """Find the texts that are like this one."""
        if len(text) < SHORTEST:
            return
        for number in self._buckets.query(_signature(text)):
            if _are_alike(text, self._texts[number], self._threshold):
                yield number


@lru_cache(maxsize=4)
def _signature(text: str) -> RMinHash:
    signature = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
    signature.update(sorted(_shingles(text)))
    return signature


def _shingles(text: str) -> set[str]:
    return {text[at : at + SHINGLE] for at in range(max(1, len(text) - SHINGLE + 1))}


def _are_alike(one: str, other: str, threshold: float) -> bool:
    if one == other:
        return True
    if min(len(one), len(other)) < threshold * max(len(one), len(other)) / 2:
        return False
    here, there = _shingles(one), _shingles(other)
    return len(here & there) >= threshold * len(here | there)


def _distinctive(texts: Sequence[str]) -> list[str]:
    """Take off what all texts begin and end with: an instruction makes no two questions alike."""
    folded = [plain(text) for text in texts]
    if len(folded) < 2:
        return folded
    head = _common_start(folded)
    rest = [text[head:] for text in folded]
    tail = _common_start([text[::-1] for text in rest])
    return [text[: len(text) - tail] for text in rest] if tail else rest


def _common_start(texts: Sequence[str]) -> int:
    """Count the characters that all texts begin with; the extremes of their order tell."""
    first, last = min(texts), max(texts)
    pairs = enumerate(zip(first, last, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(first), len(last)))
