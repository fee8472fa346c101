"""Commands for the sets of cases that the gateway keeps and holds the gates of rollouts by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table

from services.cli.connection import Connection, connected
from services.contracts.evaluations import EvaluationSet, EvaluationSetPage

_PATH = "/admin/evaluation-sets"


@connected
async def put_set(
    connection: Connection,
    name: Annotated[str, typer.Argument(help="The set's name.")],
    cases: Annotated[Path, typer.Argument(help="JSON lines, as `inkstone eval run` takes them.")],
) -> None:
    """Give the gateway the cases of a set; the same cases again change nothing."""
    path = f"{_PATH}/{quote(name, safe='')}"
    async with (
        connection.gateway() as gateway,
        gateway.peer.stream("PUT", path, data=cases.read_bytes()) as reply,
    ):
        kept = EvaluationSet.received(await reply.read())
    Console().print(
        f"{kept.id}: {kept.cases} cases, {kept.guards} of them guards ({kept.dataset_hash})",
        highlight=False,
    )


@connected
async def list_sets(connection: Connection) -> None:
    """List the sets that the gateway keeps."""
    async with connection.gateway() as gateway:
        page = EvaluationSetPage.received(await gateway.peer.json("GET", _PATH))
    table = Table("set", "cases", "guards", "hash", box=None)
    for one in page.data:
        table.add_row(one.id, str(one.cases), str(one.guards), one.dataset_hash)
    Console().print(table)
