"""The data set gate at the door of a training."""

from __future__ import annotations

from pathlib import Path

from services.contracts.assistants import Profile
from services.contracts.datasets import DatasetPolicy, Finding
from services.domain.datasets.gate import Surroundings, checked
from services.domain.datasets.prompts import system_of
from services.tuner.datasets.rows import RowError, read_rows


def gated(
    rows: Path, profile: Profile | None, policy: DatasetPolicy, *, validation: Path | None = None
) -> list[Finding]:
    """Check a training file against the profile that it is trained for.

    Lengths are left to the encoding, which counts every row exactly.

    Returns:
        The warnings.

    Raises:
        RowError: the worst error's code, with all of them in its message.
    """
    around = Surroundings(
        judged=[row.prompt[-1].content for row in read_rows(validation)] if validation else (),
        system=system_of(profile) if profile else None,
    )
    with rows.open("rb") as lines:
        report = checked(lines, around, policy)
    if errors := report.errors:
        said = "; ".join(f"{found.message} ({found.code}). {found.mend}" for found in errors)
        raise RowError(errors[0].code, said, next(iter(errors[0].rows), None))
    return report.findings
