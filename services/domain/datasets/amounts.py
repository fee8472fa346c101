"""Whether there are enough rows, and whether they differ enough to learn from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from services.contracts.datasets import DatasetPolicy, Finding
from services.domain.datasets.examples import Example, plain
from services.domain.datasets.findings import Kind, share

EMPTY = Kind("file_empty", "error", "Write one row a line.")
TOO_FEW = Kind(
    "too_few_rows",
    "error",
    "Gather more rows, or show the model examples in the prompt instead; so few are learned by "
    "heart.",
)
FEW = Kind(
    "few_rows", "warning", "500 to 1,000 clean rows are a good size; expect little from fewer."
)
ONE_ANSWER = Kind(
    "one_answer_only", "error", "Add rows with other answers; a sentence needs no training."
)
DUPLICATES = Kind("duplicate_rows", "warning", "Keep one of each; the others only weigh it up.")
CONFLICTS = Kind(
    "conflicting_answers",
    "warning",
    "Decide which answer is right; the model can only learn to guess between them.",
)


def sizes(examples: Sequence[Example], policy: DatasetPolicy) -> Iterator[Finding]:
    """Look at how many rows there are and whether they answer differently."""
    count = len(examples)
    if count == 0:
        yield EMPTY.found("the file holds no row that can be used")
        return
    if count < policy.rows_at_least:
        yield TOO_FEW.found(f"{count} rows; at least {policy.rows_at_least} are needed")
    elif count < policy.rows_advised:
        yield FEW.found(f"{count} rows")
    answers = {plain(answer) for example in examples for _, answer in example.answers}
    if count > 1 and len(answers) == 1:
        yield ONE_ANSWER.found("every row has the same answer")


def repeats(examples: Sequence[Example], policy: DatasetPolicy) -> Iterator[Finding]:
    """Find rows that occur again, and questions that are answered in different ways."""
    groups = defaultdict[str, list[Example]](list)
    for example in examples:
        groups[example.key].append(example)
    again, torn = list[int](), list[int]()
    for group in groups.values():
        seen = set[str]()
        for example in group:
            answer = plain(example.answer)
            if answer in seen:
                again.append(example.line)
            seen.add(answer)
        if len(seen) > 1:
            torn.extend(example.line for example in group)
    if again:
        many = len(again) > policy.duplicates_at_most * len(examples)
        told = f"{share(len(again), len(examples))} repeat an earlier one"
        yield DUPLICATES.found(told, again, severity="error" if many else None)
    if torn:
        many = len(torn) > policy.conflicts_at_most * len(examples)
        told = f"{share(len(torn), len(examples))} ask the same and are answered differently"
        yield CONFLICTS.found(told, torn, severity="error" if many else None)
