"""What an evaluation of answers shows: a table, sentences, and a page for the browser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from rich.table import Table

from services.cli.interval_plot import plot
from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.evaluations import (
    AnswerResult,
    ArmFigures,
    Bounds,
    ComparisonFigures,
    EvaluationReport,
    Judges,
)
from services.contracts.wire import Wire
from services.domain.evaluation.verdicts import FEWEST_CASES
from services.domain.statistics import Estimate

PASSED = "passed"

SHOWN_CASES = 200
"""Cases that the page shows of each kind; the JSON file has all."""

_VERDICTS = {
    "adopt": "Adopt it",
    "reject": "Do not adopt it",
    "insufficient": "The cases are not enough to tell",
}

_STYLE = (
    "body{font-family:sans-serif;max-width:70em;margin:2em auto;padding:0 1em;line-height:1.5}"
    "table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #ccc;padding:.3em .6em;"
    "text-align:left;vertical-align:top}.adopt{color:#0a6b2d}.reject{color:#a3160e}"
    ".insufficient{color:#7a5500}td{white-space:pre-wrap;overflow-wrap:anywhere}"
)


class SavedEvaluation(Wire):
    """An evaluation as it lies in its file: the figures, and everything that they rest on."""

    report: EvaluationReport
    cases: list[EvaluationCase]
    baseline: list[AnswerResult]
    candidate: list[AnswerResult]
    """Empty where only one was asked."""


def table_of(report: EvaluationReport) -> Table:
    """Lay out one arm, or two with their difference."""
    arms = [report.baseline, *([report.candidate] if report.candidate else [])]
    table = Table(box=None)
    for heading in [
        "",
        *(arm.name for arm in arms),
        *(["difference"] if report.comparison else []),
    ]:
        table.add_column(heading, no_wrap=True)
    for name, cells in _rows(arms, report.comparison):
        table.add_row(name, *cells)
    return table


def verdict_of(found: ComparisonFigures) -> str:
    """Say the verdict in words."""
    return f"{_VERDICTS[found.verdict]}: {found.reason}."


def preferences_of(report: EvaluationReport) -> str:
    """Say in words which answers the judge prefers."""
    found = report.preferences
    assert found is not None
    between = f"{found.difference.value:+.1%} [{found.difference.low:+.1%}, "
    between += f"{found.difference.high:+.1%}], p = {found.p:.2g}"
    return (
        f"The judge {report.judges.judge} prefers the candidate in {found.candidate} cases, the "
        f"baseline in {found.baseline}, neither in {found.ties} ({between}); in {found.swayed} of "
        f"these the order decided, {found.unreadable} could not be read."
    )


def cautions(report: EvaluationReport) -> Iterator[str]:
    """Say what makes the figures worth less than they look."""
    arms = [report.baseline, *([report.candidate] if report.candidate else [])]
    for arm in arms:
        if arm.errors:
            yield f"{arm.errors} answers of {arm.name} failed and count as not passed."
        if arm.unreadable:
            yield (
                f"{arm.unreadable} verdicts of the judge on {arm.name} could not be read and count "
                "as not passed."
            )
        if arm.release is None and ":" not in arm.name and "@" not in arm.name:
            yield f"The answers of {arm.name} come from several releases; pin one of its arms."
    if lexical := sorted({name for arm in arms for name in arm.lexical}):
        yield f"{', '.join(lexical)} compare words in place of entailment."
    if report.cases < FEWEST_CASES:
        yield f"Fewer than {FEWEST_CASES} cases show only very large differences."
    if report.comparison and not report.comparison.guards.difference.count:
        yield "There are no guard cases: nothing tells whether the candidate forgets something."


def page_of(saved: SavedEvaluation) -> str:
    """Write the page: verdict, figures, picture, and the cases on which the arms differ."""
    report = saved.report
    arms = [report.baseline, *([report.candidate] if report.candidate else [])]
    found = report.comparison
    title = " and ".join(arm.name for arm in arms)
    parts = [
        "<!doctype html>",
        f'<html lang="en"><meta charset="utf-8"><title>Evaluation of {escape(title)}</title>',
        f"<style>{_STYLE}</style>",
        f"<h1>Evaluation of {escape(title)}</h1>",
    ]
    if found:
        parts.append(f'<p class="{found.verdict}"><strong>{escape(verdict_of(found))}</strong></p>')
    repeats = f", each asked {report.repeats} times" if report.repeats > 1 else ""
    parts.append(
        f"<p>{report.cases} cases ({report.dataset_hash}){repeats}. Intervals hold the true value "
        "95 times of 100; the test is McNemar's exact one on pairs.</p>"
    )
    if report.preferences is not None:
        parts.append(f"<p>{escape(preferences_of(report))}</p>")
    parts.append(f"<p>{escape(judged_by(report.judges))}</p>")
    parts += [f"<p>{escape(caution)}</p>" for caution in cautions(report)]
    headings = ["", *(arm.name for arm in arms), *(["difference"] if found else [])]
    parts.append(_html_table(headings, [[name, *cells] for name, cells in _rows(arms, found)]))
    parts.append(plot([(arm.name, _drawn(arm, arms[0])) for arm in arms]))
    parts += _differing(saved) if found else _failed(saved)
    return "\n".join(parts) + "\n"


def judged_by(by: Judges) -> str:
    """Say in one sentence what judged beside rules."""
    named = [
        f"judge {by.judge} at {by.judge_url}" if by.judge else "",
        f"style classifier {by.styles}" if by.styles else "",
        f"entailment by {by.entailment}" if by.entailment else "",
    ]
    return "Judged by rules" + "".join(f", {one}" for one in named if one) + "."


def _rows(
    arms: Sequence[ArmFigures], found: ComparisonFigures | None
) -> Iterator[tuple[str, list[str]]]:
    def row(
        name: str, values: Sequence[Bounds | None], difference: Bounds | None
    ) -> tuple[str, list[str]]:
        cells = [_told(value) if value else "-" for value in values]
        return name, cells + ([_told(difference, "+") if difference else "-"] if found else [])

    tags = found.by_tag if found else {}
    whole = found.main.difference if found and not found.guards.difference.count else None
    yield row(PASSED, [arm.pass_rate for arm in arms], whole)
    if found and found.guards.difference.count:
        yield row("passed, without guards", [None] * len(arms), found.main.difference)
    for tag in arms[0].by_tag:
        difference = tags[tag].difference if tag in tags else None
        yield row(f"passed, {tag}", [arm.by_tag.get(tag) for arm in arms], difference)
    for name in arms[0].measures:
        difference = found.measures.get(name) if found else None
        yield row(name, [arm.measures.get(name) for arm in arms], difference)
    blank = [""] if found else []
    if any(arm.consistency is not None for arm in arms):
        yield "says the same again", [f"{arm.consistency or 0:.3f}" for arm in arms] + blank
    yield "failed", [str(arm.errors) for arm in arms] + blank
    yield "median ms", [f"{arm.median_ms:.0f}" for arm in arms] + blank
    yield "prompt tokens", [f"{arm.prompt_tokens:.0f}" for arm in arms] + blank
    yield "answer tokens", [f"{arm.completion_tokens:.0f}" for arm in arms] + blank


def _drawn(arm: ArmFigures, first: ArmFigures) -> Mapping[str, Estimate]:
    """Choose what the picture shows: the same measures of both arms."""
    shown = {PASSED: arm.pass_rate}
    shown |= {tag: arm.by_tag.get(tag, arm.pass_rate) for tag in first.by_tag}
    shown |= {name: arm.measures[name] for name in first.measures if name in arm.measures}
    return {name: Estimate(one.value, one.low, one.high, one.count) for name, one in shown.items()}


def _differing(saved: SavedEvaluation) -> Iterator[str]:
    found = saved.report.comparison
    assert found is not None
    first, other = firsts(saved.baseline), firsts(saved.candidate)
    for title, ids in (("Lost", found.lost), ("Gained", found.gained)):
        rows = [
            [id_, case.asked, _shown(first[id_]), _shown(other[id_])]
            for id_ in ids[:SHOWN_CASES]
            for case in saved.cases
            if case.id == id_
        ]
        yield f"<h2>{title}: {len(ids)} cases</h2>"
        if rows:
            names = (found and saved.report.baseline.name, "candidate")
            yield _html_table(["case", "question", *map(str, names)], rows)


def _failed(saved: SavedEvaluation) -> Iterator[str]:
    answers = firsts(saved.baseline)
    rows = [
        [case.id, case.asked, _shown(answers[case.id])]
        for case in saved.cases
        if not answers[case.id].passed
    ]
    yield f"<h2>Not passed: {len(rows)} cases</h2>"
    if rows:
        yield _html_table(["case", "question", "answer"], rows[:SHOWN_CASES])


def firsts(answers: Sequence[AnswerResult]) -> dict[str, AnswerResult]:
    """Take each case's first answer."""
    return {one.case: one for one in sorted(answers, key=lambda one: one.repeat, reverse=True)}


def _shown(answer: AnswerResult) -> str:
    reasons = [f"{one.check}: {one.why}" for one in answer.checks if not one.passed]
    return "\n".join([answer.error or answer.text, *(f"({reason})" for reason in reasons)])


def _html_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in headings)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows
    )
    return f"<table><tr>{top}</tr>\n{body}</table>"


def _told(found: Bounds, sign: str = "") -> str:
    return f"{found.value:{sign}.3f}  [{found.low:{sign}.3f}, {found.high:{sign}.3f}]"
