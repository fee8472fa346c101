"""Commands on costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.cli.connection import Connection, connected
from services.cli.failures import CommandError
from services.contracts.costs import CostScenario
from services.domain.costs import Bill, bill_of, months_to_pay_back, volume_to_break_even

costs = typer.Typer(help="What answering costs.", no_args_is_help=True)

PRICED_REQUESTS = 100_000

_FIGURES = ("tokens", "a month", "per 100k", "once", "machines", "pays back", "from requests")


@costs.command("compare")
def compare(
    scenario: Annotated[Path, typer.Argument(help="JSON: requests_per_month, options.")],
) -> None:
    """Compare ways to answer the same requests by what they cost, and say when one pays off."""
    try:
        read = CostScenario.model_validate_json(scenario.read_bytes())
    except ValidationError as error:
        told = error.errors(include_url=False)[0]
        where = ".".join(map(str, told["loc"]))
        raise CommandError(f"{scenario}: {where}: {told['msg']}.") from error
    first = read.options[0]
    bills = [bill_of(option, read.requests_per_month) for option in read.options]
    console = Console()
    console.print(f"{read.requests_per_month:,} requests a month", highlight=False)
    table = Table(box=None)
    table.add_column("way")
    for title in (
        "tokens",
        "a month",
        "per 100k",
        "once",
        "machines",
        "pays back",
        "from requests",
    ):
        table.add_column(title, justify="right")
    for option, bill in zip(read.options, bills, strict=True):
        compared = option is not first
        volume = volume_to_break_even(first, option) if compared else None
        table.add_row(
            escape(option.name),
            str(bill.tokens_per_request),
            _dollars(bill.monthly),
            _dollars(bill.for_requests(PRICED_REQUESTS, read.requests_per_month)),
            _dollars(bill.once),
            str(bill.machines or ""),
            _pays_back(bills[0], bill) if compared else "",
            f"{volume:,} a month" if volume is not None else "",
        )
    console.print(table)


@costs.command("show")
@connected
async def show(
    connection: Connection,
    days: Annotated[float, typer.Option(help="How far to look back.", min=0)] = 30.0,
) -> None:
    """Show what answers cost, by release and arm."""
    async with connection.gateway() as gateway:
        page = await gateway.costs(days)
    table = Table("release", "arm", box=None)
    for title in ("requests", "prompt", "cached", "completion", "cost"):
        table.add_column(title, justify="right")
    for one in page.data:
        table.add_row(
            escape(one.release or one.assistant or "direct calls"),
            one.arm,
            f"{one.requests:,}",
            f"{one.prompt_tokens:,}",
            f"{one.cached_tokens:,}",
            f"{one.completion_tokens:,}",
            _dollars(one.cost_usd),
        )
    Console().print(table)


def _dollars(amount: float) -> str:
    return f"${amount:,.0f}" if amount >= 100 else f"${amount:,.2f}"


def _pays_back(first: Bill, other: Bill) -> str:
    months = months_to_pay_back(first, other)
    if months is None:
        return "never"
    if months < 1:
        return "at once" if months == 0 else "in the first month"
    return f"after {months:.1f} months"
