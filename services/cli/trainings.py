"""Commands for training jobs: queue them, watch them, and read what came of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.cli.connection import Connection, connected
from services.cli.failures import CommandError
from services.cli.gateway import Gateway
from services.cli.job_bar import job_bar
from services.cli.loss_plot import plot
from services.cli.profiles import chosen_profile
from services.contracts.datasets import DatasetPolicy
from services.contracts.evaluations import Evaluation
from services.contracts.fine_tuning import FineTuningEvent, FineTuningEventPage
from services.contracts.jobs import TrainingJob, TrainingSpec

WATCH_SECONDS, LOG_SECONDS = 1.0, 10.0
"""How often a job is looked at: on a terminal, and where a log is written."""

EVENT_PAGE = 100
"""Events that are read at a time."""

_OVER = ("succeeded", "failed", "cancelled", "paused")

trainings = typer.Typer(help="Training jobs of the tuner.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The job's id.")]


@trainings.command("add")
@connected
async def add_training(
    connection: Connection,
    adapter: Annotated[str, typer.Argument(help="The adapter's name; the result is a version.")],
    rows: Annotated[Path, typer.Argument(help="Prompt/completion rows, one JSON object a line.")],
    profile: Annotated[
        str | None,
        typer.Option(help="What it will be served with: a profile as JSON, or a version's id."),
    ] = None,
    assistant: Annotated[
        str | None, typer.Option(help="In place of a profile: the assistant that is to have it.")
    ] = None,
    eval_set: Annotated[
        str | None,
        typer.Option("--eval", help="The evaluation set to judge it by; held-out rows if unset."),
    ] = None,
    holdout: Annotated[
        float | None, typer.Option(help="The share of the rows to hold out, 0 to 0.5.")
    ] = None,
    knob: Annotated[
        list[str] | None, typer.Option(help="A recipe knob, `name=value`; may be given often.")
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(help="An error of `inkstone data check` that you have looked at."),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Tell what happens until it is over.")] = (
        False
    ),
) -> None:
    """Queue the training of an adapter; it is compared with what was there before."""
    content = rows.read_bytes()
    if (profile is None) == (assistant is None):
        raise CommandError("Name either --profile or --assistant: what the adapter will serve.")
    async with connection.gateway() as gateway:
        spec = TrainingSpec(
            adapter=adapter,
            recipe=_recipe(knob or []),
            gate=DatasetPolicy(accepted=accept or []),
            evaluation=eval_set,
            holdout=holdout,
            **await _served(gateway, profile, assistant),
        )
        job = await gateway.train(content, spec)
        console = Console()
        console.print(f"{job.id} is {job.status}", highlight=False)
        if watch:
            await _watched(console, gateway, job.id)


@trainings.command("list")
@connected
async def list_trainings(connection: Connection) -> None:
    """List training jobs, newest first."""
    async with connection.gateway() as gateway:
        page = await gateway.training_jobs()
    table = Table("job", "adapter", "status", "step", "loss", "result", "verdict", box=None)
    for one in page.data:
        at = one.progress
        table.add_row(
            one.id,
            one.spec.adapter,
            one.status,
            f"{at.step}/{at.of}" if at else "",
            f"{at.loss:.3f}" if at and at.loss is not None else "",
            escape(one.adapter_version or one.error or ""),
            _verdict(one),
        )
    Console().print(table)


@trainings.command("show")
@connected
async def show_training(connection: Connection, job_id: Id) -> None:
    """Show a training job: its losses, its checkpoints, and whether the result is better."""
    async with connection.gateway() as gateway:
        job = await _job(gateway, job_id)
        events = [event async for event in _events(gateway, job_id)]
    _print_job(Console(), job, events)


@trainings.command("watch")
@connected
async def watch_training(connection: Connection, job_id: Id) -> None:
    """Tell what happens to a training job until its result is compared with what was there."""
    async with connection.gateway() as gateway:
        await _watched(Console(), gateway, job_id)


@trainings.command("cancel")
@connected
async def cancel_training(connection: Connection, job_id: Id) -> None:
    """Cancel a training job."""
    async with connection.gateway() as gateway:
        await gateway.cancel_training(job_id)
    Console().print(f"{job_id} is asked to stop", highlight=False)


def _recipe(knobs: Sequence[str]) -> dict[str, str]:
    for one in knobs:
        if "=" not in one:
            raise CommandError(f"--knob {one}: write it as name=value.")
    return dict(one.split("=", 1) for one in knobs)


async def _served(gateway: Gateway, profile: str | None, assistant: str | None) -> dict[str, Any]:
    """Say what the adapter will be served with: a profile, or what an assistant has now."""
    if assistant is None:
        assert profile is not None
        return {"profile": await chosen_profile(gateway, profile)}
    stable = (await gateway.to_follow(assistant)).stable
    return {
        "profile": stable.profile,
        "assistant": assistant,
        "grounded": stable.retrieval is not None,
    }


async def _job(gateway: Gateway, job_id: str) -> TrainingJob:
    return await gateway.read(f"/admin/training-jobs/{quote(job_id)}", TrainingJob)


async def _events(gateway: Gateway, job_id: str) -> AsyncIterator[FineTuningEvent]:
    """Read a job's events, newest first."""
    path, after = f"/v1/fine_tuning/jobs/{quote(job_id)}/events?limit={EVENT_PAGE}", ""
    while True:
        page = await gateway.read(path + after, FineTuningEventPage)
        for event in page.data:
            yield event
        if not page.has_more:
            return
        after = f"&after={page.data[-1].id}"


async def _watched(console: Console, gateway: Gateway, job_id: str) -> None:
    """Show a job's progress until it is over and judged, then what came of it."""
    seen = set[str]()
    with job_bar(console, transient=True) as bar:
        task = bar.add_task(job_id, total=None, said="")
        while True:
            job = await _job(gateway, job_id)
            fresh = await _fresh(gateway, job_id, seen)
            for event in fresh:
                if event.type == "message" or not console.is_terminal:
                    console.print(_line(event), highlight=False, soft_wrap=True)
            done, total, said = await _progress(gateway, job)
            bar.update(task, completed=done, total=total, said=said)
            if job.status in _OVER and not _is_compared(job):
                break
            await asyncio.sleep(WATCH_SECONDS if console.is_terminal else LOG_SECONDS)
    _print_job(console, job, [event async for event in _events(gateway, job_id)])
    if job.status in ("failed", "cancelled"):
        raise typer.Exit(1)


async def _fresh(gateway: Gateway, job_id: str, seen: set[str]) -> list[FineTuningEvent]:
    """Read the events that were not seen before, oldest first."""
    found = list[FineTuningEvent]()
    async for event in _events(gateway, job_id):
        if event.id in seen:
            break
        found.append(event)
    seen.update(event.id for event in found)
    return found[::-1]


async def _progress(gateway: Gateway, job: TrainingJob) -> tuple[int, int | None, str]:
    """Say how far a job is: of its steps, or of the cases that its result is compared on."""
    if job.evaluation is not None and job.evaluation.id and _is_compared(job):
        path = f"/admin/evaluations/{job.evaluation.id}"
        found = await gateway.read(path, Evaluation)
        return found.answered, found.total, "comparing"
    at = job.progress
    if at is None:
        return 0, None, job.status
    parts: list[str] = [job.status]
    if at.loss is not None:
        parts.append(f"loss {at.loss:.3f}")
    if at.eta_seconds is not None and job.status == "running":
        parts.append(f"{at.eta_seconds:.0f} s left")
    return at.step, at.of, ", ".join(parts)


def _is_compared(job: TrainingJob) -> bool:
    return job.evaluation is not None and job.evaluation.state == "running"


def _line(event: FineTuningEvent) -> str:
    mark = "[yellow]warning[/yellow] " if event.level == "warn" else ""
    return f"{mark}{escape(event.message)}"


def _print_job(console: Console, job: TrainingJob, events: Sequence[FineTuningEvent]) -> None:
    version = job.adapter_version or ""
    console.print(f"{job.id}  {job.status}  {version}", highlight=False)
    if job.error:
        console.print(f"[red]{job.error_code or 'error'}[/red] {escape(job.error)}", soft_wrap=True)
    if picture := plot(_losses(events, "train_loss"), _losses(events, "full_valid_loss")):
        console.print(f"\n{picture}\n", highlight=False)
    if job.adapter_version is not None:
        _print_checkpoints(console, job)
    if job.evaluation is not None:
        colour = {"adopt": "green", "reject": "red"}.get(job.evaluation.verdict or "", "yellow")
        said = escape(job.evaluation.said)
        console.print(f"[{colour}]{said}[/{colour}]", highlight=False, soft_wrap=True)


def _print_checkpoints(console: Console, job: TrainingJob) -> None:
    at = job.progress
    table = Table("step", "training loss", "held-out loss", "version", box=None)
    for one in job.checkpoints:
        table.add_row(
            str(one.step), _loss(one.train_loss), _loss(one.valid_loss), one.adapter_version
        )
    if at is not None:
        table.add_row(str(at.step), _loss(at.loss), _loss(at.valid_loss), job.adapter_version)
    console.print(table)


def _losses(events: Sequence[FineTuningEvent], name: str) -> dict[int, float]:
    found = [event.data for event in reversed(events) if event.data and name in event.data]
    return {data["step"]: data[name] for data in found if data[name] is not None}


def _loss(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _verdict(job: TrainingJob) -> str:
    if job.evaluation is None:
        return ""
    return job.evaluation.verdict or job.evaluation.state
