"""Commands that measure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from services.cli.commands import DEFAULT_HOME, DEFAULT_URL, HomeFolder, Key, Url
from services.cli.connection import connect
from services.cli.failures import CommandError
from services.cli.gateway import Gateway
from services.cli.interval_plot import plot
from services.cli.retrieval_cases import Case, Configuration, configuration_of, read_cases
from services.cli.retrieval_report import NDCG_DEPTH, Run, run_of, saved_form, table_of
from services.contracts.knowledge import SearchResult

ASKED_AT_ONCE = 8
"""Searches under way at the same time."""

PASSAGES_FOR_EACH_DOCUMENT = 5
"""Several passages of one document may be found; so many more are asked for than documents."""

MOST_PASSAGES = 100
"""What one search may ask for."""

evaluations = typer.Typer(help="Measure what the stack does.", no_args_is_help=True)


@evaluations.callback()
def _evaluations() -> None:
    """Measure what the stack does."""


@evaluations.command("retrieval")
def evaluate_retrieval(
    dataset: Annotated[Path, typer.Option(help="JSON lines: id, question, relevant, tags.")],
    collection: Annotated[str, typer.Option(help="The collection that is searched.")],
    setup: Annotated[str, typer.Option(help="How to search, e.g. mode=hybrid,dense=2.")] = "",
    compare: Annotated[str | None, typer.Option(help="Another way, on the same questions.")] = None,
    k: Annotated[list[int] | None, typer.Option(help="Depths of recall; 5 and 10.")] = None,
    out: Annotated[Path, typer.Option(help="Where the figures go; the plot beside it.")] = Path(
        "retrieval-evaluation.json"
    ),
    url: Url = DEFAULT_URL,
    key: Key = None,
    home: HomeFolder = DEFAULT_HOME,
) -> None:
    """Measure recall, nDCG and MRR with intervals, of one way to search or of two in pairs."""
    depths = sorted(set(k or (5, NDCG_DEPTH)))
    if depths[0] < 1 or depths[-1] > MOST_PASSAGES:
        raise CommandError(f"Depths go from 1 to {MOST_PASSAGES}; choose others with --k.")
    cases = read_cases(dataset)
    setups = [configuration_of(text) for text in (setup, compare) if text is not None]

    async def run() -> list[Run]:
        async with connect(url, key, home).gateway() as gateway:
            return [await _run(gateway, collection, one, cases, depths) for one in setups]

    runs = asyncio.run(run())
    out.write_text(json.dumps(saved_form(runs), ensure_ascii=False, indent=1), encoding="utf-8")
    picture = out.with_suffix(".svg")
    drawn = plot([(one.configuration.name, one.estimates()) for one in runs])
    picture.write_text(drawn, encoding="utf-8")
    console = Console()
    console.print(f"{len(cases)} questions over {collection}, 95 % intervals by bootstrap")
    console.print(table_of(runs))
    console.print(f"[dim]{out}  {picture}[/dim]", soft_wrap=True)


async def _run(
    gateway: Gateway,
    collection: str,
    setup: Configuration,
    cases: Sequence[Case],
    depths: Sequence[int],
) -> Run:
    turns = asyncio.Semaphore(ASKED_AT_ONCE)
    wanted = max(*depths, NDCG_DEPTH) * PASSAGES_FOR_EACH_DOCUMENT
    top_k = min(wanted, MOST_PASSAGES)

    async def ask(case: Case) -> SearchResult:
        async with turns:
            return await gateway.search(collection, case.question, top_k, **setup.fields)

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(ask(case)) for case in cases]
    return run_of(setup, cases, [one.result() for one in asked], depths)
