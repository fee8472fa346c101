"""Commands for adapter versions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.cli.connection import Connection, connected
from services.cli.writing import day
from services.contracts.adapters import AdapterVersion, AdapterVersionPage

adapters = typer.Typer(help="Adapter versions.", no_args_is_help=True)

Version = Annotated[str, typer.Argument(help="`name@<12 hex>`, as the list shows it.")]


@adapters.command("add")
@connected
async def add_adapter(connection: Connection, folder: Path) -> None:
    """Register a PEFT LoRA directory; the same content again gives the same version."""
    async with connection.gateway() as gateway:
        version = await gateway.register(folder)
    Console().print(f"{version.id}  rank {version.rank}  {version.bytes / 1e6:.1f} MB")


@adapters.command("list")
@connected
async def list_adapters(connection: Connection) -> None:
    """List adapter versions and where they are proven."""
    async with connection.gateway() as gateway:
        page = await gateway.read("/admin/adapters", AdapterVersionPage)
    table = Table("version", "rank", "state", "replicas", box=None)
    for one in page.data:
        held = ", ".join(f"{name}: {state.state}" for name, state in one.replicas.items())
        table.add_row(one.id, str(one.rank), one.state, held)
    Console().print(table)


@adapters.command("show")
@connected
async def show_adapter(connection: Connection, version: Version) -> None:
    """Show what an adapter version is, what replicas proved of it, and what evaluations said."""
    async with connection.gateway() as gateway:
        one = await gateway.read(f"/admin/adapters/{version}", AdapterVersion)
    console, trained = Console(), one.manifest.training
    console.print(
        f"{one.id}  {one.state}  rank {one.rank}  {one.bytes / 1e6:.1f} MB  {day(one.created_at)}",
        highlight=False,
    )
    about = Table("", "", box=None, show_header=False)
    for name, value in (
        ("base", one.manifest.base_model),
        ("base fingerprint", trained.base_fingerprint),
        ("prompt", trained.system_prompt_hash),
        ("chat template", trained.chat_template_hash),
        ("description", one.manifest.description),
    ):
        about.add_row(name, value or "-")
    console.print(about)
    table = Table("replica", "state", "seconds to load", "shift", "why", box=None)
    for replica, said in one.replicas.items():
        table.add_row(
            replica,
            said.state,
            "-" if said.load_seconds is None else f"{said.load_seconds:.1f}",
            "-" if said.canary_shift is None else f"{said.canary_shift:.3f}",
            said.reason or "-",
        )
    if one.replicas:
        console.print(table)
    for found in one.evidence:
        told = f"{found.verdict} by {found.cases!r} ({found.evaluation}): {found.reason}"
        console.print(escape(told), highlight=False, soft_wrap=True)


@adapters.command("retire")
@connected
async def retire_adapter(connection: Connection, version: Version) -> None:
    """Take a version out of use; replicas unload it, and it can be registered again."""
    async with connection.gateway() as gateway:
        await gateway.peer.json("DELETE", f"/admin/adapters/{version}")
    Console().print(f"{version} is retired", highlight=False)
