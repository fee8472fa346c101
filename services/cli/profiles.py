"""Commands for profile versions, and choosing one by its file or its id."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from services.cli.connection import Connection, connected
from services.cli.failures import CommandError
from services.cli.gateway import Gateway, known
from services.cli.writing import compared, day
from services.contracts.assistants import Profile, ProfileVersionPage

profiles = typer.Typer(help="Profile versions: what assistants are told.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="12 hex, as the list shows it.")]
FileOrId = Annotated[str, typer.Argument(help="A profile as JSON, or a version's id.")]

FIRST_CHARACTERS = 48
"""How much of a system text the list shows."""

_ID = re.compile(r"[0-9a-f]{12}")


@profiles.command("list")
@connected
async def list_profiles(connection: Connection) -> None:
    """List the profiles that releases are made with, newest first."""
    async with connection.gateway() as gateway:
        page = await gateway.read("/admin/profiles", ProfileVersionPage)
    table = Table(
        Column("profile", no_wrap=True), "since", "releases", "serves", "system text", box=None
    )
    for one in page.data:
        serving = ", ".join(one.serving) or "-"
        text = " ".join(one.profile.system.split())[:FIRST_CHARACTERS]
        table.add_row(one.id, day(one.created_at), str(len(one.releases)), serving, text)
    Console().print(table)


@profiles.command("show")
@connected
async def show_profile(connection: Connection, id_: Id) -> None:
    """Print a profile version as JSON, ready to be changed and bound."""
    async with connection.gateway() as gateway:
        found = await chosen_profile(gateway, id_)
    typer.echo(written(found))


@profiles.command("diff")
@connected
async def diff_profiles(connection: Connection, before: FileOrId, after: FileOrId) -> None:
    """Show how two profiles differ; each is a version's id or a file."""
    async with connection.gateway() as gateway:
        first, second = [await chosen_profile(gateway, each) for each in (before, after)]
    typer.echo(compared(before, written(first), after, written(second)))


async def chosen_profile(gateway: Gateway, given: str) -> Profile:
    """Read a profile from a file, or from the release that was made with that version.

    Raises:
        CommandError: it names neither.
    """
    file = Path(given)
    if await asyncio.to_thread(file.is_file):
        return Profile.model_validate_json(await asyncio.to_thread(file.read_text, "utf-8"))
    if not _ID.fullmatch(given):
        raise CommandError(f"{given} is no file and no profile's id; `inkstone profiles list`.")
    told = await gateway.peer.json("GET", f"/admin/profiles/{given}")
    return known(Profile, told["profile"])


def written(profile: Profile) -> str:
    """Write a profile as a person reads it; what is as usual is left out."""
    fields = profile.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(fields, ensure_ascii=False, indent=2)
