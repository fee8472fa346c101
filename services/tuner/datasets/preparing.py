"""From files to what is trained, what is measured, and what the adapter will be judged by.

Nothing here needs a model: a file that cannot be trained on is refused within a second or two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.contracts.assistants import Profile
from services.contracts.datasets import Finding
from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.fine_tuning import TrainingFailure
from services.domain.datasets.examples import Example
from services.domain.datasets.likeness import leaks
from services.domain.datasets.prompts import system_of
from services.tuner.datasets.cases import cases_of, judging_by
from services.tuner.datasets.gating import gated
from services.tuner.datasets.holdout import MOST, drawn, held_out
from services.tuner.datasets.rows import Row, RowError, read_file, rows_of
from services.tuner.run import TrainingRun


@dataclass(frozen=True, slots=True)
class Prepared:
    """A training file, checked and split."""

    trained: list[Row]
    measured: list[Row]
    """Rows whose loss is measured only."""
    cases: list[EvaluationCase]
    """Made of rows that are not trained on; none where a set of cases was named."""
    held_out: int
    """Conversations of the training file that are not trained on."""
    findings: list[Finding]


def prepare(run: TrainingRun) -> Prepared:
    """Check and split a training file.

    Raises:
        RowError: when it cannot be trained on.
    """
    judging = run.judging
    _check_budget(run.rows, run.limits.rows)
    validation = _validation(judging.validation) if judging.validation else []
    judged = [one.question for one in validation]
    judged += [case.asked for case in _named(judging.cases)]
    findings = gated(run.rows, run.profile, run.gate, judged=judged, grounded=judging.grounded)
    examples = read_file(run.rows)
    apart = _set_apart(run, examples)
    lines = {one.line for one in apart}
    trained = [one for one in examples if one.line not in lines]
    if apart:
        asked = [one.question for one in apart]
        findings += leaks(trained, asked, run.gate, label=_label(run))
    return Prepared(
        trained=rows_of(trained),
        measured=rows_of(validation or apart),
        cases=_cases(run, examples, validation or apart),
        held_out=len(apart),
        findings=findings,
    )


def _validation(file: Path) -> list[Example]:
    try:
        return read_file(file)
    except RowError as error:
        raise RowError(
            TrainingFailure.VALIDATION_FILE, f"In the validation file: {error} ({error.code})"
        ) from error


def _check_budget(file: Path, most: int | None) -> None:
    """Count the rows before anything is held in memory."""
    if most is None:
        return
    with file.open("rb") as lines:
        rows = sum(1 for line in lines if line.strip())
    if rows > most:
        raise RowError(
            TrainingFailure.TOO_MANY_ROWS,
            f"the file has {rows} rows and a training takes {most} at most; train on a sample, or "
            "have INKSTONE_TUNER_MAX_ROWS raised.",
        )


def _set_apart(run: TrainingRun, examples: Sequence[Example]) -> list[Example]:
    if run.judging.cases or run.judging.validation or run.report is None:
        return []
    share, seed = run.judging.holdout, run.recipe.seed
    return held_out(examples, share=share, seed=seed, label=_label(run))


def _label(run: TrainingRun) -> str:
    """Say what stands before the question of a row that shows passages."""
    return (run.profile or Profile()).context.question_label


def _cases(
    run: TrainingRun, examples: Sequence[Example], apart: Sequence[Example]
) -> list[EvaluationCase]:
    if run.judging.cases is not None or not apart:
        return []
    found = cases_of(
        drawn(apart, most=MOST, seed=run.recipe.seed),
        judging_by([one.answer for one in examples]),
        instructed=bool(run.profile and system_of(run.profile)),
        asked_after=_label(run) if run.judging.grounded else None,
    )
    return list(found)


def _named(cases: Path | None) -> Iterator[EvaluationCase]:
    if cases is None:
        return
    with cases.open("rb") as lines:
        yield from (EvaluationCase.model_validate_json(line) for line in lines if line.strip())
