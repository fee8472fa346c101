"""`inkstone eval run` and `compare`: the answers of an assistant, or of two, on the same cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from services.cli.answer_asking import Asked, Assistants
from services.cli.answer_judging import Judging, JudgingOptions, open_judging
from services.cli.answer_preferring import Preferring
from services.cli.answer_report import (
    SavedEvaluation,
    cautions,
    firsts,
    page_of,
    preferences_of,
    table_of,
    verdict_of,
)
from services.cli.answer_results import Heading, Line, ResultsFile
from services.cli.connection import Connection, connected
from services.cli.failures import CommandError
from services.cli.line_files import cases_of
from services.cli.retrieval_report import width_of
from services.contracts.evaluation_cases import GUARD, EvaluationCase
from services.contracts.evaluations import Arm, EvaluationRules, Judges
from services.domain.evaluation.cases import dataset_hash
from services.domain.evaluation.figures import Run, report_of
from services.domain.evaluation.rubrics import preference_figures

Out = Annotated[Path, typer.Option(help="The report as JSON; its page and the answers beside it.")]
Margin = Annotated[float, typer.Option(help="How much worse it may be; 0 asks that it is better.")]
JudgeUrl = Annotated[
    str | None, typer.Option(help="An OpenAI-compatible URL whose model judges answers.")
]
JudgeModel = Annotated[str | None, typer.Option(help="The judge's model.")]
JudgeKey = Annotated[
    str | None,
    typer.Option(help="The environment variable that holds its key; INKSTONE_JUDGE_KEY."),
]
JudgeExtra = Annotated[
    str, typer.Option(help="JSON: further fields of its requests; null leaves one out.")
]
StyleFile = Annotated[
    Path | None, typer.Option(help="A classifier of `inkstone eval style train`.")
]
EntailmentModel = Annotated[
    str | None,
    typer.Option(help="A CrossEncoder of NLI, for citations; words are compared without one."),
]


@connected
async def run_evaluation(
    connection: Connection,
    assistant: Annotated[
        str, typer.Option(help="What is asked; `support:candidate` pins an arm of a rollout.")
    ],
    cases: Annotated[Path, typer.Option(help="JSON lines: id, question, expected, checks, tags.")],
    against: Annotated[
        str | None, typer.Option(help="The baseline: another assistant, or an arm.")
    ] = None,
    guard: Annotated[
        list[Path] | None,
        typer.Option(
            help="Cases that must not get worse, as if tagged `guard`; may be given often."
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, max=20, help="How often each is asked.")] = 1,
    concurrent: Annotated[int, typer.Option(min=1, max=64, help="Asked at once.")] = 4,
    margin: Margin = 0.0,
    judge: JudgeUrl = None,
    judge_model: JudgeModel = None,
    judge_key_env: JudgeKey = None,
    judge_extra: JudgeExtra = "{}",
    style: StyleFile = None,
    entailment: EntailmentModel = None,
    out: Out = Path("evaluation.json"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the answers so far.")] = False,
) -> None:
    """Ask every case of an assistant as it is served, and compare it with a baseline.

    A run that was cut off goes on where it stood when the command is given again.
    """
    if not out.parent.is_dir():
        raise CommandError(f"{out.parent} is no folder; choose another place with --out.")
    asked = cases_of(cases) + [_guarding(case) for file in guard or [] for case in cases_of(file)]
    if len({case.id for case in asked}) < len(asked):
        raise CommandError("An id stands twice in the files; give each case an id of its own.")
    names: list[tuple[Arm, Asked]] = [("baseline", Asked(against or assistant))]
    if against is not None:
        names.append(("candidate", Asked(assistant)))
    options = JudgingOptions(
        judge, judge_model, judge_key_env, judge_extra, style, entailment, concurrent
    )
    async with connection.gateway() as gateway, open_judging(options, gateway.peer) as judging:
        judging.check(asked)
        heading = Heading(
            dataset_hash=dataset_hash(asked),
            baseline=against or assistant,
            candidate=assistant if against is not None else None,
            repeats=repeats,
            judges=judging.names_in(asked),
        )
        file = ResultsFile(out.with_suffix(".answers.jsonl"), heading)
        if fresh:
            file.path.unlink(missing_ok=True)
        await _ask(Assistants(gateway.peer, concurrent, judging), names, asked, file)
        saved = _saved(names, asked, file.read(), EvaluationRules(margin=margin), judging.names)
        if against is not None and judging.judge is not None:
            saved = await _preferred(saved, judging, out, concurrent)
    _conclude(saved, out)


async def _preferred(
    saved: SavedEvaluation, judging: Judging, out: Path, concurrent: int
) -> SavedEvaluation:
    """Add which arm's answers the judge prefers."""
    assert judging.judge is not None
    preferring = Preferring(
        judging.judge, judging.names, out.with_suffix(".preferences.jsonl"), concurrent
    )
    first, other = firsts(saved.baseline), firsts(saved.candidate)
    found = preference_figures(await preferring.compare(saved.cases, first, other))
    report = saved.report.model_copy(update={"preferences": found})
    return saved.model_copy(update={"report": report})


def compare_evaluations(
    first: Annotated[Path, typer.Argument(help="The report of the baseline.")],
    other: Annotated[Path, typer.Argument(help="The report of the candidate.")],
    margin: Margin = 0.0,
    out: Out = Path("comparison.json"),
) -> None:
    """Compare what two assistants answered to the same cases at different times."""
    baseline, candidate = _load(first), _load(other)
    if baseline.report.dataset_hash != candidate.report.dataset_hash:
        raise CommandError(
            f"{first} and {other} asked different cases ({baseline.report.dataset_hash} and "
            f"{candidate.report.dataset_hash}); run one of them again."
        )
    if baseline.report.judges != candidate.report.judges:
        raise CommandError(f"{first} and {other} were not judged alike; run one of them again.")
    arms = [_own(baseline), _own(candidate)]
    report = report_of(baseline.cases, arms[0], arms[1], EvaluationRules(margin=margin))
    saved = SavedEvaluation(
        report=report.model_copy(update={"judges": baseline.report.judges}),
        cases=baseline.cases,
        baseline=list(arms[0].answers),
        candidate=list(arms[1].answers),
    )
    _conclude(saved, out)


async def _ask(
    assistants: Assistants,
    names: Sequence[tuple[Arm, Asked]],
    cases: Sequence[EvaluationCase],
    file: ResultsFile,
) -> None:
    for _, asked in names:
        await assistants.check(asked)
    done = {(line.arm, line.answer.case, line.answer.repeat) for line in file.settled()}
    wanted = [(case, repeat) for repeat in range(file.heading.repeats) for case in cases]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        file.open() as opened,
        Progress(*columns, TimeElapsedColumn(), transient=True) as progress,
    ):
        for arm, asked in names:
            todo = [(case, n) for case, n in wanted if (arm, case.id, n) not in done]
            bar = progress.add_task(
                escape(asked.name), total=len(wanted), completed=len(wanted) - len(todo)
            )
            async for answer in assistants.answers(asked, todo):
                file.add(opened, arm, answer)
                progress.advance(bar)


def _saved(
    names: Sequence[tuple[Arm, Asked]],
    cases: Sequence[EvaluationCase],
    lines: Sequence[Line],
    rules: EvaluationRules,
    judges: Judges,
) -> SavedEvaluation:
    # A case that failed and was asked again has two lines; the last one counts.
    latest = {(line.arm, line.answer.case, line.answer.repeat): line.answer for line in lines}
    runs = [
        Run(asked.name, [answer for (arm, _, _), answer in latest.items() if arm == wanted])
        for wanted, asked in names
    ]
    report = report_of(cases, runs[0], runs[1] if len(runs) > 1 else None, rules)
    return SavedEvaluation(
        report=report.model_copy(update={"judges": judges}),
        cases=list(cases),
        baseline=list(runs[0].answers),
        candidate=list(runs[1].answers) if len(runs) > 1 else [],
    )


def _conclude(saved: SavedEvaluation, out: Path) -> None:
    """Write the files and print what they say."""
    page = out.with_suffix(".html")
    out.write_text(saved.model_dump_json(indent=1), encoding="utf-8")
    page.write_text(page_of(saved), encoding="utf-8")
    report, console = saved.report, Console()
    console.print(f"{report.cases} cases, {report.dataset_hash}, 95 % intervals", highlight=False)
    table = table_of(report)
    Console(width=max(console.width, width_of(table))).print(table)
    if report.preferences is not None:
        console.print(escape(preferences_of(report)), highlight=False, soft_wrap=True)
    for caution in cautions(report):
        console.print(f"[yellow]{escape(caution)}[/yellow]", soft_wrap=True)
    if report.comparison is not None:
        console.print(f"[bold]{escape(verdict_of(report.comparison))}[/bold]", soft_wrap=True)
    console.print(f"[dim]{out}  {page}[/dim]", soft_wrap=True)


def _guarding(case: EvaluationCase) -> EvaluationCase:
    return case if case.guards else case.model_copy(update={"tags": [*case.tags, GUARD]})


def _load(file: Path) -> SavedEvaluation:
    try:
        return SavedEvaluation.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise CommandError(f"{file} is no report of `inkstone eval run`.") from error


def _own(saved: SavedEvaluation) -> Run:
    """Take what a report is about: the candidate, where it compares two."""
    if saved.report.candidate is not None:
        return Run(saved.report.candidate.name, saved.candidate)
    return Run(saved.report.baseline.name, saved.baseline)
