"""The data set gate at the door of a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from services.contracts.assistants import Profile
from services.contracts.datasets import DatasetPolicy, Finding
from services.domain.datasets.findings import told
from services.domain.datasets.gate import Surroundings, checked
from services.domain.datasets.prompts import system_of
from services.tuner.datasets.rows import RowError

SAID = 5
"""How many errors are told in the message; the file's own check shows all."""


def gated(
    rows: Path,
    profile: Profile | None,
    policy: DatasetPolicy,
    *,
    judged: Sequence[str] = (),
    grounded: bool = False,
) -> list[Finding]:
    """Check a training file against the profile that it is trained for.

    Lengths are left to the encoding, which counts every row exactly.

    Args:
        judged: the questions that the adapter will be judged by.
        grounded: whether it will be served with retrieved passages.

    Returns:
        The warnings.

    Raises:
        RowError: the worst error's code, with all of them in its message.
    """
    around = Surroundings(
        judged=judged,
        system=system_of(profile) if profile else None,
        grounded=grounded,
        question_label=(profile or Profile()).context.question_label,
    )
    with rows.open("rb") as lines:
        report = checked(lines, around, policy)
    if errors := report.errors:
        more = f" {len(errors) - SAID} more." if len(errors) > SAID else ""
        said = told(errors[:SAID]) + more
        raise RowError(errors[0].code, said, next(iter(errors[0].rows), None))
    return report.findings
