"""Commands for bulk ingestion: keep a collection in step with a folder, and watch its jobs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.cli.commands import documents
from services.cli.connection import Connection, connected
from services.cli.folder import Folder, read_folder, uploads
from services.cli.ingestions import Ingestions
from services.cli.job_bar import job_bar
from services.contracts.ingestion import Ingestion, IngestionAction, SyncManifest, SyncPlan

WATCH_SECONDS = 0.5
"""How often a job is looked at on a terminal."""

LOG_SECONDS = 5.0
"""How often it is looked at otherwise; a log gets a line when something has changed."""

jobs = typer.Typer(help="Ingestion jobs.", no_args_is_help=True)
index = typer.Typer(help="The vector index.", no_args_is_help=True)


@asynccontextmanager
async def _ingestions(connection: Connection) -> AsyncIterator[Ingestions]:
    async with connection.gateway() as gateway:
        yield Ingestions(gateway.peer)


@documents.command("sync")
@connected
async def sync_documents(
    connection: Connection,
    folder: Path,
    collection: Annotated[str, typer.Option(help="Which collection to keep in step.")],
    source: Annotated[
        str | None, typer.Option(help="Who owns the documents; this machine and folder if unset.")
    ] = None,
    prefix: Annotated[str, typer.Option(help="Goes before each document's id.")] = "",
    group: Annotated[
        list[str] | None, typer.Option(help="Who may see them; may be given often.")
    ] = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="Remove documents of this source whose file is gone.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
    wait: Annotated[bool, typer.Option(help="Watch the job until it ends.")] = True,
) -> None:
    """Bring a collection in step with a folder; unchanged files are not even sent."""
    console = Console()
    found = read_folder(folder, prefix)
    manifest = SyncManifest(
        source=source or _owner(folder),
        files=list(found.entries),
        allowed_groups=group or [],
    )

    async with _ingestions(connection) as ingestions:
        plan = await ingestions.plan(collection, manifest)
        _print_plan(console, found, plan)
        agreed = _agreed(console, plan, yes) if delete else None
        agreed_to = manifest.model_copy(update={"remove_at_most": agreed})
        job = await ingestions.sync(collection, agreed_to)
        console.print(f"{job.id} has begun", highlight=False)
        for batch in uploads(found, job.needed):
            await ingestions.send(job.id, batch)
        _conclude(await _watched(console, ingestions, job.id) if wait else job)


@jobs.command("list")
@connected
async def list_jobs(connection: Connection, collection: str | None = None) -> None:
    """List the newest ingestion jobs."""
    async with _ingestions(connection) as ingestions:
        page = await ingestions.page(collection)
    table = Table("job", "collection", "status", "files", "failed", "chunks", box=None)
    for one in page.data:
        at = one.progress
        table.add_row(
            one.id,
            one.collection,
            one.status,
            f"{_done(one)}/{at.total}",
            str(at.failed),
            str(at.chunks),
        )
    Console().print(table)


@jobs.command("watch")
@connected
async def watch_job(
    connection: Connection,
    id: str,  # noqa: A002  # the argument's name on the command line
) -> None:
    """Watch a job until it rests, and say what failed."""
    async with _ingestions(connection) as ingestions:
        _conclude(await _watched(Console(), ingestions, id))


def _action(action: IngestionAction, does: str) -> None:
    """Add a command that does something to a job."""

    @connected
    async def command(
        connection: Connection,
        id: str,  # noqa: A002  # the argument's name on the command line
    ) -> None:
        async with _ingestions(connection) as ingestions:
            job = await ingestions.act(id, action)
        Console().print(f"{job.id} is {job.status}", highlight=False)

    jobs.command(action, help=does)(command)


_action("pause", "Let a job rest after the batch that it is in.")
_action("resume", "Let a job that rests go on.")
_action("cancel", "End a job; what was done stays.")
_action("retry", "Try the failed files of a job again.")


@index.command("show")
@connected
async def show_index(connection: Connection) -> None:
    """Show whether the index is made anew or changes its embedding model, and how far it is."""
    async with _ingestions(connection) as ingestions:
        build = await ingestions.index()
        change = await ingestions.embedding_change()
    lines = [f"index {build.status}"]
    if build.of:
        lines[0] += f", {build.documents} of {build.of} documents"
    if build.message:
        lines.append(build.message)
    lines.append(f"embedding model {change.fingerprint}")
    if change.status == "changing":
        lines[-1] += (
            f": {change.collections} collections still to change, "
            f"{change.documents} of {change.of} documents embedded"
        )
    Console().print("\n".join(map(escape, lines)), highlight=False, soft_wrap=True)


@index.command("rebuild")
@connected
async def rebuild_index(connection: Connection) -> None:
    """Make the index anew from the catalogue; the old one serves meanwhile."""
    console = Console()

    async with _ingestions(connection) as ingestions:
        build = await ingestions.index(rebuild=True)
        with job_bar(console) as bar:
            task = bar.add_task("index", total=None, said="")
            while build.status == "building":
                bar.update(task, completed=build.documents, total=build.of)
                await asyncio.sleep(WATCH_SECONDS)
                build = await ingestions.index()
            bar.update(task, completed=build.documents, total=build.of)
    if build.status == "failed":
        console.print(f"[red]error:[/red] {escape(build.message or '')}")
        raise typer.Exit(1)
    console.print(f"The new index serves {build.documents} documents.", highlight=False)


def _owner(folder: Path) -> str:
    return f"{socket.gethostname()}:{folder.resolve()}"


def _print_plan(console: Console, found: Folder, plan: SyncPlan) -> None:
    if found.skipped:
        console.print(f"{len(found.skipped)} files of other kinds are left out", highlight=False)
    console.print(
        f"{plan.changed} new or changed, {plan.unchanged} unchanged, {plan.removed} gone",
        highlight=False,
    )


def _agreed(console: Console, plan: SyncPlan, yes: bool) -> int:
    """Say how many documents would be removed, and have that confirmed."""
    if not plan.removed:
        return 0
    for id_ in plan.removed_ids[:10]:
        console.print(f"  - {escape(id_)}", highlight=False)
    if plan.removed > 10:
        console.print(f"  … and {plan.removed - 10} more", highlight=False)
    console.print(f"{plan.removed} documents are removed", highlight=False)
    if not yes:
        typer.confirm("Remove them?", abort=True)
    return plan.removed


async def _watched(console: Console, ingestions: Ingestions, id_: str) -> Ingestion:
    """Show a job's progress until it rests, then what failed."""
    seconds = WATCH_SECONDS if console.is_terminal else LOG_SECONDS
    last = ""
    with job_bar(console) as bar:
        task = bar.add_task(id_, total=None, said="")
        async for job in ingestions.watch(id_, seconds):
            bar.update(task, completed=_done(job), total=job.progress.total, said=_said(job))
            line = f"{id_} {_done(job)}/{job.progress.total} {_said(job)}"
            if not console.is_terminal and line != last:
                console.print(line, highlight=False, soft_wrap=True)
            last = line
    for item in await ingestions.failed(id_):
        told = f"[red]{escape(item.document_id)}[/red] {item.code}: {escape(item.message or '')}"
        console.print(told, highlight=False, soft_wrap=True)
    return job


def _done(job: Ingestion) -> int:
    return job.progress.total - job.progress.waiting - job.progress.awaiting


def _said(job: Ingestion) -> str:
    at = job.progress
    parts = [job.status, f"{at.unchanged} unchanged", f"{at.failed} failed"]
    if at.chunks_per_second is not None:
        parts.append(f"{at.chunks_per_second:.0f} chunks/s")
    if at.eta_seconds is not None and job.status == "running":
        parts.append(f"{at.eta_seconds:.0f} s left")
    return ", ".join(parts)


def _conclude(job: Ingestion) -> None:
    if job.status in ("failed", "cancelled"):
        raise typer.Exit(1)
