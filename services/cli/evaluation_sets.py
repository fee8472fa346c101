"""Commands for the sets of cases that the gateway keeps and holds the gates of rollouts by."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table

from services.cli.commands import DEFAULT_HOME, DEFAULT_URL, HomeFolder, Key, Url
from services.cli.connection import connect
from services.contracts.evaluations import EvaluationSet, EvaluationSetPage

_PATH = "/admin/evaluation-sets"


def put_set(
    name: Annotated[str, typer.Argument(help="The set's name.")],
    cases: Annotated[Path, typer.Argument(help="JSON lines, as `inkstone eval run` takes them.")],
    url: Url = DEFAULT_URL,
    key: Key = None,
    home: HomeFolder = DEFAULT_HOME,
) -> None:
    """Give the gateway the cases of a set; the same cases again change nothing."""
    content = cases.read_bytes()

    async def run() -> None:
        async with connect(url, key, home).gateway() as gateway:
            path = f"{_PATH}/{quote(name, safe='')}"
            async with gateway.peer.stream("PUT", path, data=content) as reply:
                kept = EvaluationSet.model_validate_json(await reply.read())
        Console().print(
            f"{kept.id}: {kept.cases} cases, {kept.guards} of them guards ({kept.dataset_hash})",
            highlight=False,
        )

    asyncio.run(run())


def list_sets(url: Url = DEFAULT_URL, key: Key = None, home: HomeFolder = DEFAULT_HOME) -> None:
    """List the sets that the gateway keeps."""

    async def run() -> None:
        async with connect(url, key, home).gateway() as gateway:
            page = EvaluationSetPage.model_validate(await gateway.peer.json("GET", _PATH))
        table = Table("set", "cases", "guards", "hash", box=None)
        for one in page.data:
            table.add_row(one.id, str(one.cases), str(one.guards), one.dataset_hash)
        Console().print(table)

    asyncio.run(run())
