"""The `inkstone` command."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

app = typer.Typer(
    help="An LLM that knows your facts and speaks in your voice.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

HomeOption = Annotated[
    Path, typer.Option(envvar="INKSTONE_HOME", help="The folder that holds all state.")
]
PortOption = Annotated[
    int, typer.Option(envvar="INKSTONE_PORT", help="The gateway's port on loopback.")
]


@app.command()
def up(home: HomeOption = Path(".inkstone"), port: PortOption = 8000) -> None:
    """Run the whole stack on this machine until Ctrl-C."""
    from services.cli.up import run_until_stopped

    _run(run_until_stopped(home, port, Console()))


@app.command()
def demo(home: HomeOption = Path(".inkstone"), port: PortOption = 8000) -> None:
    """Run the main job: documents in, cited answers in two voices, a live adapter swap."""
    from services.cli.demo import run_demo

    _run(run_demo(home, port, Console()))


def _run(work: Coroutine[Any, Any, None]) -> None:
    from services.chassis.errors import ServiceError
    from services.cli.demo import DemoFailedError
    from services.cli.preparation import PreparationError
    from services.cli.stack import PortTakenError
    from services.cli.up import AlreadyRunningError, NotReadyError

    try:
        asyncio.run(work)
    except (
        AlreadyRunningError,
        DemoFailedError,
        NotReadyError,
        PortTakenError,
        PreparationError,
        ServiceError,
    ) as error:
        Console(stderr=True).print(f"[red]error:[/red] {error}")
        raise typer.Exit(1) from error
    except (KeyboardInterrupt, asyncio.CancelledError) as stopped:
        raise typer.Exit(130) from stopped


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    app()
