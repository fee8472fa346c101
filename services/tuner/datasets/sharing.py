"""Rows that begin alike, computed as one sequence: the common prompt once, then every continuation.

A branch attends to the prefix and to itself only and its positions go on from the prefix, so the
loss is the one that the rows would have apart; only the prefix is not computed again and again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.tuner.datasets.encoding import IGNORED, EncodedRow

PREFIX = 0
"""The branch number of the shared tokens; the rows' own tokens are numbered from 1."""


@dataclass(frozen=True, slots=True)
class SharedRow:
    """One sequence: a prefix and the branches that continue it."""

    input_ids: list[int]
    labels: list[int]
    positions: list[int]
    branches: list[int]


def share_prefixes(rows: Sequence[EncodedRow], *, most: int, shortest: int = 32) -> list[SharedRow]:
    """Join neighbouring rows that share the larger part of their prompts.

    Args:
        most: how many rows one sequence takes; 1 leaves every row alone.
        shortest: a common prefix of fewer tokens is not worth sharing.
    """
    return [_joined(group) for group in _groups(rows, most, shortest)]


def _groups(rows: Sequence[EncodedRow], most: int, shortest: int) -> Iterator[list[EncodedRow]]:
    group: list[EncodedRow] = []
    for row in rows:
        if group and len(group) < most and _worth_sharing([*group, row], shortest):
            group.append(row)
            continue
        if group:
            yield group
        group = [row]
    if group:
        yield group


def _worth_sharing(group: list[EncodedRow], shortest: int) -> bool:
    shared = _shared_length(group)
    return shared >= shortest and 2 * shared >= max(_prompt_length(row) for row in group)


def _shared_length(group: Sequence[EncodedRow]) -> int:
    """Measure the common prefix; every branch keeps at least one untrained token of its own.

    The first trained token is predicted by the token before it, which must be the branch's own.
    """
    bound = min(_prompt_length(row) for row in group) - 1
    columns = zip(*(row.input_ids[:bound] for row in group), strict=True)
    return next((at for at, ids in enumerate(columns) if len(set(ids)) > 1), bound)


def _prompt_length(row: EncodedRow) -> int:
    return next((at for at, label in enumerate(row.labels) if label != IGNORED), len(row.labels))


def _joined(group: Sequence[EncodedRow]) -> SharedRow:
    shared = _shared_length(group) if len(group) > 1 else 0
    ids, labels = group[0].input_ids[:shared], [IGNORED] * shared
    positions, branches = list(range(shared)), [PREFIX] * shared
    for number, row in enumerate(group, start=1):
        ids = ids + row.input_ids[shared:]
        labels = labels + row.labels[shared:]
        positions.extend(range(shared, len(row.input_ids)))
        branches.extend([number] * (len(row.input_ids) - shared))
    return SharedRow(ids, labels, positions, branches)
