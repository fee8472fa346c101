"""Commands for releases: what an assistant has served."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from services.cli.connection import Connection, connected
from services.cli.failures import CommandError
from services.cli.gateway import Gateway
from services.cli.profiles import written
from services.cli.writing import compared, day
from services.contracts.assistants import Release, ReleasePage

releases = typer.Typer(help="Releases: what assistants have served.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The assistant.")]
Id = Annotated[str, typer.Argument(help="`<assistant>/<number>`.")]


@releases.command("list")
@connected
async def list_releases(connection: Connection, name: Name) -> None:
    """List everything that an assistant has served, newest first."""
    async with connection.gateway() as gateway:
        page = await gateway.read(f"/admin/assistants/{name}/releases", ReleasePage)
    table = Table(
        Column("release", no_wrap=True), "made", "profile", "adapter", "collections", "evidence"
    )
    table.box = None
    for one in page.data:
        collections = ", ".join(one.retrieval.collections) if one.retrieval else "-"
        table.add_row(
            one.id,
            day(one.created_at),
            one.profile_hash,
            one.adapter or "-",
            collections,
            one.evidence,
        )
    Console().print(table)


@releases.command("show")
@connected
async def show_release(connection: Connection, id_: Id) -> None:
    """Show one release, with its profile and what it may look up."""
    async with connection.gateway() as gateway:
        print_release(Console(), await _read(gateway, id_))


@releases.command("diff")
@connected
async def diff_releases(connection: Connection, before: Id, after: Id) -> None:
    """Show how two releases differ in what they are made of."""
    async with connection.gateway() as gateway:
        first, second = await _read(gateway, before), await _read(gateway, after)
    typer.echo(compared(before, _bundle(first), after, _bundle(second)))


def print_release(console: Console, release: Release) -> None:
    """Print what a release is made of."""
    flags = "  serves another prompt than its adapter's" if release.prompt_mismatch else ""
    console.print(
        f"{release.id}  {day(release.created_at)}  adapter {release.adapter or '-'}  "
        f"evidence {release.evidence}{flags}",
        highlight=False,
    )
    console.print(f"profile {release.profile_hash}", highlight=False)
    typer.echo(written(release.profile))
    if release.retrieval is not None:
        console.print("retrieval", highlight=False)
        typer.echo(json.dumps(_retrieval(release), ensure_ascii=False, indent=2))


async def _read(gateway: Gateway, id_: str) -> Release:
    name, slash, number = id_.rpartition("/")
    if not slash or not number.isdecimal():
        raise CommandError(f"{id_} is no release; name one as `<assistant>/<number>`.")
    return await gateway.read(f"/admin/assistants/{name}/releases/{number}", Release)


def _bundle(release: Release) -> str:
    made_of = {
        "adapter": release.adapter,
        "profile": json.loads(written(release.profile)),
        "retrieval": _retrieval(release),
    }
    return json.dumps(made_of, ensure_ascii=False, indent=2)


def _retrieval(release: Release) -> object:
    return release.retrieval and release.retrieval.model_dump(mode="json", exclude_none=True)
