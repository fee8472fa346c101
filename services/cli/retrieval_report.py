"""What a data set shows of one configuration, or of two, question by question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from services.cli.retrieval_cases import Case, Configuration
from services.contracts.knowledge import SearchResult
from services.domain.relevance import ndcg, recall, reciprocal_rank
from services.domain.statistics import Comparison, Estimate, compare, estimate

NDCG_DEPTH = 10
"""How deep nDCG looks."""

HELD = "answer held"
"""The measure of cases with answers: one stands in what was found, surroundings included."""

WIDEST = 1000
"""Columns that a table may take."""

FEW = 30
"""With fewer questions the intervals are narrower than they should be."""

NAMED = 5
"""Absent documents that are named; the file has all."""

Values = Mapping[str, Sequence[float]]
"""Values of each measure, case by case."""


@dataclass(frozen=True, slots=True)
class Run:
    """One configuration's values."""

    configuration: Configuration
    cases: Sequence[Case]
    values: Values
    milliseconds: Sequence[float]
    """The retriever's own time for each question."""

    def estimates(self) -> dict[str, Estimate]:
        """Estimate the mean of every measure."""
        return {measure: estimate(values) for measure, values in self.values.items()}


def run_of(
    configuration: Configuration,
    cases: Sequence[Case],
    results: Sequence[SearchResult],
    depths: Sequence[int],
) -> Run:
    """Measure what was found for each case, at the given depths."""
    values: dict[str, list[float]] = {}
    for case, result in zip(cases, results, strict=True):
        for measure, value in _measured(case, result, depths).items():
            values.setdefault(measure, []).append(value)
    return Run(configuration, cases, values, [result.timings.total_ms for result in results])


def _measured(case: Case, result: SearchResult, depths: Sequence[int]) -> dict[str, float]:
    found = list(dict.fromkeys(passage.document_id for passage in result.data))
    values = {f"recall@{depth}": recall(found, case.relevant, depth) for depth in depths}
    values[f"nDCG@{NDCG_DEPTH}"] = ndcg(found, case.relevant, NDCG_DEPTH)
    values["MRR"] = reciprocal_rank(found, case.relevant)
    if case.answers:
        shown = [one.surroundings or one for one in result.data[: depths[0]]]
        text = "\n".join(one.text for one in shown).casefold()
        values[HELD] = float(any(answer.casefold() in text for answer in case.answers))
    return values


def comparisons(first: Run, other: Run) -> dict[str, Comparison]:
    """Compare two runs over the same cases, measure by measure."""
    return {
        measure: compare(values, other.values[measure]) for measure, values in first.values.items()
    }


def by_tag(run: Run) -> dict[str, Estimate]:
    """Estimate nDCG over the cases of each tag."""
    grouped: dict[str, list[float]] = {}
    for case, value in zip(run.cases, run.values[f"nDCG@{NDCG_DEPTH}"], strict=True):
        for tag in case.tags:
            grouped.setdefault(tag, []).append(value)
    return {tag: estimate(values) for tag, values in sorted(grouped.items())}


def table_of(runs: Sequence[Run]) -> Table:
    """Lay out one run, or two with their difference."""
    compared = comparisons(*runs) if len(runs) == 2 else {}
    names = [run.configuration.name for run in runs]
    table = Table(box=None)
    for heading in ["measure", *names, *(["difference", "verdict"] if compared else [])]:
        table.add_column(heading, no_wrap=True)
    for measure in runs[0].values:
        cells = [_told(estimate(run.values[measure])) for run in runs]
        if compared:
            found = compared[measure]
            cells += [_told(found.difference, sign="+"), verdict_of(found)]
        table.add_row(measure, *cells)
    for tag in by_tag(runs[0]):
        name = f"nDCG@{NDCG_DEPTH}, {tag}"
        table.add_row(name, *(_told(by_tag(run)[tag]) for run in runs))
    table.add_row("median ms", *(f"{_median(run.milliseconds):.1f}" for run in runs))
    return table


def width_of(table: Table) -> int:
    """Tell how wide a table is when no row is cut or broken."""
    return Console(width=WIDEST).measure(table).maximum


def cautions(cases: Sequence[Case], absent: Sequence[str]) -> Iterator[str]:
    """Say what makes the figures worth less than they look."""
    if absent:
        named = ", ".join(absent[:NAMED]) + (", ..." if len(absent) > NAMED else "")
        touched = sum(not set(case.relevant).isdisjoint(absent) for case in cases)
        yield (
            f"{touched} of {len(cases)} questions name documents that the collection does not hold "
            f"({named}); they count as not found. Correct the data set or add the documents."
        )
    if len(cases) < FEW:
        yield f"Fewer than {FEW} questions: the true intervals are wider than those shown."


def verdict_of(found: Comparison) -> str:
    """Say in words what a comparison shows."""
    if found.is_gain:
        return "better"
    return "worse" if found.is_loss else "no difference shown"


def saved_form(runs: Sequence[Run]) -> dict[str, Any]:
    """Lay out everything for a JSON file, every value of every case included."""
    saved: dict[str, Any] = {
        "runs": [
            {
                "configuration": asdict(run.configuration),
                "estimates": {name: asdict(found) for name, found in run.estimates().items()},
                "by_tag": {tag: asdict(found) for tag, found in by_tag(run).items()},
                "milliseconds": list(run.milliseconds),
                "values": {name: list(values) for name, values in run.values.items()},
            }
            for run in runs
        ],
        "cases": [case.id for case in runs[0].cases],
    }
    if len(runs) == 2:
        saved["comparison"] = {
            name: {**asdict(found), "verdict": verdict_of(found)}
            for name, found in comparisons(*runs).items()
        }
    return saved


def _told(found: Estimate, sign: str = "") -> str:
    return f"{found.mean:{sign}.3f}  [{found.low:{sign}.3f}, {found.high:{sign}.3f}]"


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
