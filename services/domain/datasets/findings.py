"""What the gate can find: each code with its severity and its mend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.contracts.datasets import Finding, Severity

ROWS_SHOWN = 20
"""How many line numbers a finding names."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding."""

    code: str
    severity: Severity
    mend: str

    def found(
        self, message: str, rows: Sequence[int] = (), *, severity: Severity | None = None
    ) -> Finding:
        """Say that it was found.

        Args:
            rows: the lines that it concerns; none when it concerns the whole file.
            severity: another one than usual, where the extent decides.
        """
        return Finding(
            code=self.code,
            severity=severity or self.severity,
            message=message,
            mend=self.mend,
            count=len(rows),
            rows=sorted(rows)[:ROWS_SHOWN],
        )


def told(findings: Sequence[Finding]) -> str:
    """Write findings as sentences after a colon, each with its code and its mend."""
    first, *others = (f"{one.message} ({one.code}). {one.mend}" for one in findings)
    return " ".join([first, *(other[:1].upper() + other[1:] for other in others)])


def share(part: int, whole: int) -> str:
    """Write a share as a person reads it."""
    return f"{part} of {whole} rows ({part / max(whole, 1):.1%})"
