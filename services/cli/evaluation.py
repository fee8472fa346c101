"""Commands that measure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from services.cli.answer_evaluation import compare_evaluations, run_evaluation
from services.cli.connection import Connection, connected
from services.cli.evaluation_sets import list_sets, put_set
from services.cli.failures import CommandError
from services.cli.gateway import Gateway
from services.cli.interval_plot import plot
from services.cli.retrieval_cases import Case, Configuration, configuration_of, read_cases
from services.cli.retrieval_report import (
    NDCG_DEPTH,
    cautions,
    run_of,
    saved_form,
    table_of,
    width_of,
)
from services.cli.styles import styles
from services.contracts.knowledge import SearchResult

ASKED_AT_ONCE = 8
"""Searches under way at the same time."""

PASSAGES_FOR_EACH_DOCUMENT = 5
"""Several passages of one document may be found; so many more are asked for than documents."""

MOST_PASSAGES = 100
"""What one search may ask for."""

Item = TypeVar("Item")
Told = TypeVar("Told")

evaluations = typer.Typer(help="Measure what the stack does.", no_args_is_help=True)


evaluations.command("run")(run_evaluation)
evaluations.command("compare")(compare_evaluations)
evaluations.command("put")(put_set)
evaluations.command("sets")(list_sets)
evaluations.add_typer(styles, name="style")


@evaluations.callback()
def _evaluations() -> None:
    """Measure what the stack does."""


@evaluations.command("retrieval")
@connected
async def evaluate_retrieval(
    connection: Connection,
    dataset: Annotated[Path, typer.Option(help="JSON lines: id, question, relevant, tags.")],
    collection: Annotated[str, typer.Option(help="The collection that is searched.")],
    setup: Annotated[str, typer.Option(help="How to search, e.g. mode=hybrid,dense=2.")] = "",
    compare: Annotated[str | None, typer.Option(help="Another way, on the same questions.")] = None,
    k: Annotated[list[int] | None, typer.Option(help="Depths of recall; 5 and 10.")] = None,
    out: Annotated[Path, typer.Option(help="Where the figures go; the plot beside it.")] = Path(
        "retrieval-evaluation.json"
    ),
) -> None:
    """Measure recall, nDCG and MRR with intervals, of one way to search or of two in pairs."""
    depths = sorted(set(k or (5, NDCG_DEPTH)))
    if depths[0] < 1 or depths[-1] > MOST_PASSAGES:
        raise CommandError(f"Depths go from 1 to {MOST_PASSAGES}; choose others with --k.")
    if not out.parent.is_dir():
        raise CommandError(f"{out.parent} is no folder; choose another place with --out.")
    cases = read_cases(dataset)
    setups = [configuration_of(text) for text in (setup, compare) if text is not None]

    async with connection.gateway() as gateway:
        found = [await _ask(gateway, collection, one, cases, depths) for one in setups]
        absent = await _absent(gateway, collection, cases, found)
    pairs = zip(setups, found, strict=True)
    runs = [run_of(one, cases, results, depths) for one, results in pairs]
    saved = {**saved_form(runs), "absent": absent}
    out.write_text(json.dumps(saved, ensure_ascii=False, indent=1), encoding="utf-8")
    picture = out.with_suffix(".svg")
    drawn = plot([(one.configuration.name, one.estimates()) for one in runs])
    picture.write_text(drawn, encoding="utf-8")
    console = Console()
    console.print(f"{len(cases)} questions over {collection}, 95 % intervals by bootstrap")
    table = table_of(runs)
    Console(width=max(console.width, width_of(table))).print(table)
    for caution in cautions(cases, absent):
        console.print(f"[yellow]{escape(caution)}[/yellow]", soft_wrap=True)
    console.print(f"[dim]{out}  {picture}[/dim]", soft_wrap=True)


async def _ask(
    gateway: Gateway,
    collection: str,
    setup: Configuration,
    cases: Sequence[Case],
    depths: Sequence[int],
) -> list[SearchResult]:
    wanted = max(*depths, NDCG_DEPTH) * PASSAGES_FOR_EACH_DOCUMENT
    top_k = min(wanted, MOST_PASSAGES)

    async def ask(case: Case) -> SearchResult:
        return await gateway.search(collection, case.question, top_k, **setup.fields)

    return await _each(cases, ask)


async def _absent(
    gateway: Gateway,
    collection: str,
    cases: Sequence[Case],
    found: Sequence[Sequence[SearchResult]],
) -> list[str]:
    """Name the documents of the data set that the collection does not hold."""
    known = {it.document_id for results in found for result in results for it in result.data}
    unseen = sorted({name for case in cases for name in case.relevant} - known)

    async def is_there(name: str) -> bool:
        return await gateway.holds(collection, name)

    there = await _each(unseen, is_there)
    return [name for name, held in zip(unseen, there, strict=True) if not held]


async def _each(items: Sequence[Item], call: Callable[[Item], Awaitable[Told]]) -> list[Told]:
    """Call for each item, a few at the same time; the first failure ends all."""
    turns = asyncio.Semaphore(ASKED_AT_ONCE)

    async def in_turn(item: Item) -> Told:
        async with turns:
            return await call(item)

    try:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(in_turn(item)) for item in items]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    return [one.result() for one in asked]
