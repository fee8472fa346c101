"""Commands for the replicas that answer."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table

from services.cli.connection import Connection, connected
from services.contracts.adapters import Replica, ReplicaPage

replicas = typer.Typer(help="Generator replicas, and what they hold.", no_args_is_help=True)


@replicas.callback()
def _replicas() -> None:
    """Generator replicas, and what they hold."""


@replicas.command("list")
@connected
async def list_replicas(connection: Connection) -> None:
    """List the replicas as the gateway sees them, and what each has proven."""
    async with connection.gateway() as gateway:
        page = await gateway.read("/admin/replicas", ReplicaPage)
    table = Table("replica", "pool", "state", "base", "in flight", "adapters", box=None)
    for one in page.data:
        held = ", ".join(f"{name}: {said.state}" for name, said in one.adapters.items())
        base = f"{one.base_model} ({one.base_fingerprint})"
        table.add_row(one.replica, one.pool, _state(one), base, str(one.in_flight), held or "-")
    Console().print(table)


def _state(replica: Replica) -> str:
    if not replica.live:
        return "silent"
    return "ready" if replica.ready else f"not ready: the engine is {replica.engine}"
