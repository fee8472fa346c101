"""`inkstone backup` and `inkstone restore`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

HomeOption = Annotated[
    Path, typer.Option(envvar="INKSTONE_HOME", help="The folder that holds all state.")
]
_MIB = 1024 * 1024


def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder for the copy.")],
    home: HomeOption = Path(".inkstone"),
    artifacts: Annotated[
        bool, typer.Option(help="Copy the artifact store; leave out one that keeps versions.")
    ] = True,
) -> None:
    """Copy an installation while it runs: databases, adapters, files, keys."""
    from services.cli.backups.places import places_of
    from services.cli.backups.taking import take

    console = Console()
    with console.status("copying"):
        taken = take(places_of(home), folder, with_artifacts=artifacts)
    console.print(
        f"{folder} holds {len(taken.files)} files, {taken.bytes / _MIB:.1f} MiB, as of "
        f"{datetime.fromtimestamp(taken.made_at, UTC):%Y-%m-%d %H:%M:%S} UTC "
        f"({taken.seconds:.1f} s). It holds keys: keep it as you keep those.",
        soft_wrap=True,
        highlight=False,
    )


def restore(
    folder: Annotated[Path, typer.Argument(help="A backup.")],
    home: HomeOption = Path(".inkstone"),
    check: Annotated[
        bool, typer.Option("--check", help="Only compare every file with its hash.")
    ] = False,
) -> None:
    """Put a backup back where nothing is in its way; the services must not run."""
    from services.cli.backups import manifest
    from services.cli.backups.places import places_of
    from services.cli.backups.restoring import put_back

    console, began = Console(), time.monotonic()
    with console.status("reading"):
        found = manifest.read(folder) if check else put_back(places_of(home), folder)
    did = "is whole" if check else "is restored"
    console.print(
        f"{folder} {did}: {len(found.files)} files, {found.bytes / _MIB:.1f} MiB, as of "
        f"{datetime.fromtimestamp(found.made_at, UTC):%Y-%m-%d %H:%M:%S} UTC "
        f"({time.monotonic() - began:.1f} s).",
        soft_wrap=True,
        highlight=False,
    )
    if not check:
        console.print("Start the services; the index is made anew from the catalogue.")
