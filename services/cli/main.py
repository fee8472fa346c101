"""The `inkstone` command."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from openai import APIConnectionError, OpenAIError
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from services.chassis.errors import ServiceError
from services.cli import (
    adapters,
    assistants,
    backup,
    commands,
    costs,
    datasets,
    distillation,
    evaluation,
    jobs,
    profiles,
    releases,
    replicas,
    rollouts,
    trainings,
)
from services.cli.failures import CommandError
from services.cli.ladder import command as ladder
from services.contracts.wire import said_of

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells expect it."""

app = typer.Typer(
    help="An LLM that knows your facts and speaks in your voice.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(commands.ask)
app.command()(distillation.distil)
app.command()(backup.backup)
app.command()(backup.restore)
app.add_typer(commands.documents, name="documents")
app.add_typer(adapters.adapters, name="adapters")
app.add_typer(profiles.profiles, name="profiles")
app.add_typer(assistants.assistants, name="assistants")
app.add_typer(releases.releases, name="releases")
app.add_typer(rollouts.rollouts, name="rollouts")
app.add_typer(datasets.datasets, name="data")
app.add_typer(replicas.replicas, name="replicas")
app.add_typer(trainings.trainings, name="trainings")
app.add_typer(commands.keys, name="keys")
app.add_typer(jobs.jobs, name="jobs")
app.add_typer(jobs.index, name="index")
app.add_typer(evaluation.evaluations, name="eval")
app.add_typer(ladder.ladder, name="ladder")
app.add_typer(costs.costs, name="costs")

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

    asyncio.run(run_until_stopped(home, port, Console()))


@app.command()
def demo(home: HomeOption = Path(".inkstone"), port: PortOption = 8000) -> None:
    """Run the main job: documents in, cited answers in two voices, a live adapter swap."""
    from services.cli.demo import run_demo

    asyncio.run(run_demo(home, port, Console()))


def main() -> None:
    """Run the command; an error is one sentence and exit code 1."""
    try:
        app()
    except (CommandError, OpenAIError, OSError, ServiceError, ValidationError) as error:
        told = f"[red]error:[/red] {escape(_sentence(error))}"
        Console(stderr=True).print(told, soft_wrap=True)
        sys.exit(1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(INTERRUPTED)


def _sentence(error: Exception) -> str:
    unreachable = isinstance(error, ServiceError) and error.code == "gateway_unreachable"
    if unreachable or isinstance(error, APIConnectionError):
        return "The gateway cannot be reached; start it with `make up` or set INKSTONE_URL."
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or error.title}: {said_of(first).rstrip('.')}."
    body = getattr(error, "body", None)
    return str(body["message"]) if isinstance(body, dict) and "message" in body else str(error)


if __name__ == "__main__":
    main()
