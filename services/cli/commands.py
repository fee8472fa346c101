"""Commands that speak to a running gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.cli.connection import Connection, connected
from services.contracts.keys import Scope

documents = typer.Typer(help="Documents of a collection.", no_args_is_help=True)
keys = typer.Typer(help="API keys.", no_args_is_help=True)


@connected
async def ask(
    connection: Connection,
    question: str,
    model: Annotated[str, typer.Option(help="An assistant, adapter version or the base.")],
) -> None:
    """Ask one question and print the answer as it is written, then its sources."""
    console = Console()
    last: Any = None
    async with connection.openai() as client:
        stream = await client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": question}], stream=True
        )
        async for chunk in stream:
            for choice in chunk.choices:
                console.print(escape(choice.delta.content or ""), end="", soft_wrap=True)
            last = chunk
    console.print()
    for source in (last.model_extra or {}).get("citations", []) if last else []:
        where = source["uri"] or source["document_id"]
        console.print(f"[dim]\\[{source['n']}] {escape(source['title'])}  {escape(where)}[/dim]")


@documents.command("add")
@connected
async def add_documents(
    connection: Connection,
    collection: str,
    files: list[Path],
) -> None:
    """Upload files as documents; unchanged ones are left alone."""
    async with connection.gateway() as gateway:
        receipt = await gateway.upload(collection, files)
    table = Table("document", "outcome", "chunks", "reason", box=None)
    for one in receipt.files:
        table.add_row(one.document_id, one.outcome, str(one.chunks), one.message or "")
    Console().print(table)
    if receipt.failed:
        raise typer.Exit(1)


@documents.command("list")
@connected
async def list_documents(connection: Connection, collection: str) -> None:
    """List a collection's documents."""
    table = Table("document", "title", "chunks", "characters", box=None)
    async with connection.gateway() as gateway:
        after = None
        while True:
            page = await gateway.documents(collection, after)
            for one in page.data:
                table.add_row(one.id, one.title, str(one.chunks), str(one.characters))
            if not page.has_more:
                break
            after = page.last_id
    Console().print(table)


@documents.command("search")
@connected
async def search_documents(
    connection: Connection,
    collection: str,
    query: str,
    top_k: int = 5,
) -> None:
    """Show what would be retrieved for a question."""
    async with connection.gateway() as gateway:
        result = await gateway.search(collection, query, top_k)
    console = Console()
    for place, one in enumerate(result.data, start=1):
        console.print(
            f"[bold]{place}. {escape(one.title or one.document_id)}[/bold]  "
            f"[dim]{escape(one.document_id)} {one.span.start}-{one.span.end}  "
            f"similarity {one.similarity:.3f}[/dim]",
            soft_wrap=True,
        )
        console.print(escape(one.text), soft_wrap=True)


@keys.command("create")
@connected
async def create_key(
    connection: Connection,
    name: str,
    scope: Annotated[list[Scope], typer.Option(help="May be given often.")],
) -> None:
    """Create a key and print its secret, this once."""
    async with connection.gateway() as gateway:
        body = {"name": name, "scopes": [one.value for one in scope]}
        issued = await gateway.keys("POST", body=body)
    typer.echo(issued["secret"])


@keys.command("list")
@connected
async def list_keys(connection: Connection) -> None:
    """List keys without their secrets."""
    async with connection.gateway() as gateway:
        page = await gateway.keys("GET")
    table = Table("id", "name", "scopes", "state", box=None)
    for one in page["data"]:
        state = "revoked" if one["revoked_at"] else "active"
        table.add_row(one["id"], one["name"], ", ".join(one["scopes"]), state)
    Console().print(table)


@keys.command("revoke")
@connected
async def revoke_key(
    connection: Connection,
    id: str,  # noqa: A002  # the argument's name on the command line
) -> None:
    """Revoke a key at once."""
    async with connection.gateway() as gateway:
        await gateway.keys("DELETE", f"/{id}")
    Console().print(f"{id} is revoked")
