"""The gate itself: everything that can be said of a training file before it is trained on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.contracts.datasets import DatasetPolicy, DatasetReport, Finding
from services.domain.datasets.amounts import repeats, sizes
from services.domain.datasets.examples import QUESTION_LABEL
from services.domain.datasets.labels import labels
from services.domain.datasets.lengths import TokenCounter, measured
from services.domain.datasets.likeness import leaks, near_duplicates
from services.domain.datasets.prompts import prompts
from services.domain.datasets.reading import UNREADABLE, read_examples
from services.domain.datasets.secrets import secrets
from services.domain.datasets.texts import texts


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a file is checked against, as far as it is known."""

    judged: Sequence[str] = ()
    """The questions of the evaluation and validation sets."""
    system: str | None = None
    """The system text that the assistant serves with."""
    grounded: bool = False
    """Whether the assistant serves with retrieved passages."""
    question_label: str = QUESTION_LABEL
    """What a question stands behind where passages come before it."""
    counter: TokenCounter | None = None
    """Counts tokens; without it lengths are not checked."""


def checked(lines: Iterable[bytes], around: Surroundings, policy: DatasetPolicy) -> DatasetReport:
    """Check a training file.

    Args:
        lines: the file's lines, as bytes.
        around: what it is checked against.
        policy: what the gate is strict about.
    """
    reading = read_examples(lines)
    examples = reading.examples
    lengths = measured(examples, around.counter, policy.max_tokens)
    findings = [
        *reading.findings,
        *sizes(examples, policy),
        *repeats(examples, policy),
        *near_duplicates(examples, policy),
        *leaks(examples, around.judged, policy, label=around.question_label),
        *texts(examples),
        *prompts(examples, around.system, grounded=around.grounded),
        *labels(examples),
        *secrets(examples),
        *lengths.findings,
    ]
    return DatasetReport(
        rows=len(examples),
        trained_answers=sum(len(example.answers) for example in examples),
        tokens=lengths.tokens,
        longest=lengths.longest,
        findings=sorted(
            (_weighed(found, policy) for found in findings),
            key=lambda found: (found.severity, -found.count),
        ),
    )


def _weighed(found: Finding, policy: DatasetPolicy) -> Finding:
    if found.code in policy.accepted and found.code not in UNREADABLE:
        return found.model_copy(update={"severity": "warning"})
    return found
