"""Commands for assistants."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from services.cli.connection import Connection, connected
from services.cli.profiles import chosen_profile
from services.cli.releases import print_release
from services.contracts.assistants import (
    Assistant,
    AssistantPage,
    AssistantWrite,
    Profile,
    RetrievalPolicy,
)

assistants = typer.Typer(help="Assistants: what apps call as `model`.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The assistant.")]


@assistants.command("set")
@connected
async def set_assistant(
    connection: Connection,
    name: Name,
    profile: Annotated[
        str | None, typer.Option(help="A profile as JSON, or a version's id.")
    ] = None,
    collection: Annotated[list[str] | None, typer.Option(help="May be given often.")] = None,
    top_k: int = 3,
    adapter: Annotated[str | None, typer.Option(help="An adapter version.")] = None,
    allow_prompt_mismatch: bool = False,
) -> None:
    """Bind an assistant; returns once the new release serves."""
    async with connection.gateway() as gateway:
        spec = AssistantWrite(
            profile=await chosen_profile(gateway, profile) if profile else Profile(),
            retrieval=RetrievalPolicy(collections=collection, top_k=top_k) if collection else None,
            adapter=adapter,
            allow_prompt_mismatch=allow_prompt_mismatch,
        )
        bound = await gateway.put_assistant(name, spec)
    Console().print(f"{bound.id} serves {bound.stable.id}")


@assistants.command("list")
@connected
async def list_assistants(connection: Connection) -> None:
    """List assistants and what they serve."""
    async with connection.gateway() as gateway:
        page = await gateway.read("/admin/assistants", AssistantPage)
    table = Table("assistant", "release", "adapter", "collections", box=None)
    for one in page.data:
        policy = one.stable.retrieval
        table.add_row(
            one.id,
            one.stable.id,
            one.stable.adapter or "-",
            ", ".join(policy.collections) if policy else "-",
        )
    Console().print(table)


@assistants.command("show")
@connected
async def show_assistant(connection: Connection, name: Name) -> None:
    """Show what an assistant serves now."""
    async with connection.gateway() as gateway:
        found = await gateway.read(f"/admin/assistants/{name}", Assistant)
    console = Console()
    console.print(f"{found.id}  version {found.version}  {found.description}", highlight=False)
    print_release(console, found.stable)


@assistants.command("delete")
@connected
async def delete_assistant(connection: Connection, name: Name) -> None:
    """Take an assistant out of service; its releases stay on record."""
    async with connection.gateway() as gateway:
        await gateway.peer.json("DELETE", f"/admin/assistants/{name}")
    Console().print(f"{name} is out of service", highlight=False)
