"""Commands for rollouts: bring a new adapter or prompt into service step by step, and watch it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import quote

import orjson
import typer
from rich.console import Console
from rich.live import Live
from rich.table import Column, Table

from services.chassis.errors import ServiceError, Unavailable, UpstreamFailed, UpstreamTimeout
from services.chassis.http import Peer
from services.cli.connection import Connection, connected
from services.cli.profiles import chosen_profile
from services.cli.rollout_analysis import analysis_of
from services.cli.rollout_view import below_its_moves, event_line, view
from services.contracts.assistants import Assistant, AssistantWrite, Profile, RetrievalPolicy
from services.contracts.audit import REASON_HEADER, AuditEvent
from services.contracts.rollouts import (
    DEFAULT_WEIGHTS,
    Gate,
    Rollout,
    RolloutPage,
    RolloutWrite,
    Shadow,
    Step,
    Strategy,
)

RECONNECT_SECONDS = 1.0
"""The pause before a broken stream of events is opened again."""

SHOW_SECONDS = 1.0
"""How often a terminal is told where a rollout stands."""

rollouts = typer.Typer(help="Rollouts: from one release to the next.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The assistant.")]
Id = Annotated[str, typer.Argument(help="The rollout's id.")]
Reason = Annotated[str | None, typer.Option(help="Why; kept in the audit log.")]


@rollouts.command("begin")
@connected
async def begin(
    connection: Connection,
    name: Name,
    adapter: Annotated[
        str | None, typer.Option(help="An adapter version, or `none`; the present one if unset.")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="A profile as JSON, or a version's id; the present one if unset."),
    ] = None,
    collection: Annotated[
        list[str] | None, typer.Option(help="May be given often; the present ones if unset.")
    ] = None,
    weight: Annotated[
        list[float] | None, typer.Option(help="Percent of a step; may be given often.")
    ] = None,
    hold: Annotated[float, typer.Option(help="Seconds of each step.")] = 300.0,
    min_samples: Annotated[int, typer.Option(help="Answers of each step.")] = 50,
    shadow: Annotated[
        float | None,
        typer.Option(help="Percent of the requests that it answers unseen before the first step."),
    ] = None,
    immediate: Annotated[
        bool, typer.Option("--immediate", help="Promote as soon as it is loaded.")
    ] = False,
    by_time: Annotated[
        bool, typer.Option("--by-time", help="Go by time alone, without an analysis.")
    ] = False,
    gate: Annotated[
        str | None, typer.Option(help="The evaluation set that it must pass before it serves.")
    ] = None,
    query: Annotated[
        list[str] | None,
        typer.Option(help="What a Prometheus must say, such as `p95<=2`; may be given often."),
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(
            help="The margin of a check, such as `abstentions=0.05`, or `unsupported_answers=off`; "
            "may be given often."
        ),
    ] = None,
    costly_after: Annotated[
        float | None, typer.Option(help="Compare how many answers cost more US dollars.")
    ] = None,
    without_evidence: Annotated[
        bool, typer.Option("--without-evidence", help="Bring an adapter that nobody evaluated.")
    ] = False,
    allow_prompt_mismatch: bool = False,
    reason: Reason = None,
    watch: Annotated[bool, typer.Option(help="Tell what happens until it is over.")] = True,
) -> None:
    """Begin to bring a candidate into service; what is not named stays as it is now."""
    weights = weight or DEFAULT_WEIGHTS
    steps = [Step(weight=each, hold_seconds=hold) for each in weights]
    judged_by = analysis_of(
        min_samples, queries=query or (), checks=check or (), costly_after=costly_after
    )

    async with connection.gateway() as gateway:
        path = f"/admin/assistants/{quote(name)}"
        present = await gateway.to_follow(name)
        chosen = await chosen_profile(gateway, profile) if profile else None
        bundle = _bundle(present, adapter, chosen, collection)
        write = RolloutWrite(
            bundle=bundle.model_copy(update={"allow_prompt_mismatch": allow_prompt_mismatch}),
            strategy=_strategy(shadow, immediate=immediate),
            shadow=None if shadow is None else Shadow(percent=shadow, min_samples=min_samples),
            steps=[] if immediate else steps,
            gate=Gate(cases=gate) if gate else None,
            allow_without_evidence=without_evidence,
            analysis=None if by_time else judged_by,
        )
        body = orjson.loads(write.model_dump_json())
        begun = Rollout.received(
            await gateway.peer.json("POST", f"{path}/rollouts", body=body, headers=_why(reason))
        )
        console = Console()
        console.print(f"{begun.id} brings {begun.candidate}", highlight=False)
        if watch:
            await _tell(console, gateway.peer, name, begun.id)


@rollouts.command("list")
@connected
async def list_rollouts(connection: Connection, name: Name) -> None:
    """List an assistant's rollouts, newest first."""
    async with connection.gateway() as gateway:
        page = RolloutPage.received(await gateway.peer.json("GET", _path(name)))
    plain = [Column(name, no_wrap=True) for name in ("rollout", "from", "to", "state", "percent")]
    table = Table(*plain, "why", box=None)
    for one in page.data:
        percent = f"{one.weight:g}" if one.weight else "-"
        releases = [release.rpartition("/")[2] for release in (one.stable, one.candidate)]
        table.add_row(one.id, *releases, one.state, percent, one.reason or "-")
    Console().print(table)


@rollouts.command("show")
@connected
async def show(connection: Connection, name: Name, id_: Id) -> None:
    """Show where a rollout stands and what its checks see."""
    async with connection.gateway() as gateway:
        found = await _read(gateway.peer, name, id_)
    Console().print(view(found, time.time()), highlight=False)


@rollouts.command("watch")
@connected
async def watch_rollout(connection: Connection, name: Name, id_: Id) -> None:
    """Tell what happens to a rollout until it is over."""
    async with connection.gateway() as gateway:
        await _tell(Console(), gateway.peer, name, id_)


def _action(action: str, does: str) -> None:
    """Add a command that moves a rollout."""

    @connected
    async def command(
        connection: Connection,
        name: Name,
        id_: Id,
        reason: Reason = None,
    ) -> None:
        async with connection.gateway() as gateway:
            path = f"{_path(name, id_)}/{action}"
            moved = await gateway.peer.json("POST", path, body={}, headers=_why(reason))
        one = Rollout.received(moved)
        Console().print(f"{one.id} is {one.state.replace('_', ' ')}", highlight=False)

    rollouts.command(action, help=does)(command)


_action("pause", "Hold a rollout where it stands.")
_action("resume", "Let a rollout that is held go on.")
_action("promote", "Let the candidate serve everybody now.")
_action("rollback", "Take the candidate back, also after it was promoted.")
_action("abort", "End a rollout without a verdict.")


def _strategy(shadow: float | None, *, immediate: bool) -> Strategy:
    if immediate:
        return "immediate"
    return "canary" if shadow is None else "shadow_canary"


def _bundle(
    present: Assistant, adapter: str | None, profile: Profile | None, collections: list[str] | None
) -> AssistantWrite:
    """Take over what the assistant serves now wherever nothing else is named."""
    stable = present.stable
    policy = stable.retrieval
    if collections:
        looked_up: dict[str, Any] = policy.model_dump() if policy else {}
        policy = RetrievalPolicy.model_validate({**looked_up, "collections": collections})
    return AssistantWrite(
        profile=profile or stable.profile,
        retrieval=policy,
        adapter=stable.adapter if adapter is None else None if adapter == "none" else adapter,
        description=present.description,
    )


async def _tell(console: Console, peer: Peer, name: str, id_: str) -> None:
    """Print each move when it happens; on a terminal, show below them where it stands."""
    rollout = await _read(peer, name, id_)
    if not console.is_terminal:
        async for event in _events(peer, name, id_):
            console.print(event_line(event, rollout), highlight=False)
        return
    with Live(below_its_moves(rollout, time.time()), console=console, auto_refresh=False) as live:
        showing = asyncio.create_task(_show_on(live, peer, name, id_))
        try:
            async for event in _events(peer, name, id_):
                console.print(event_line(event, rollout), highlight=False)
        finally:
            showing.cancel()
        live.update(below_its_moves(await _read(peer, name, id_), time.time()), refresh=True)


async def _show_on(live: Live, peer: Peer, name: str, id_: str) -> None:
    """Show where a rollout stands, again and again; the stream of events tells of errors."""
    while True:
        with contextlib.suppress(ServiceError):
            live.update(below_its_moves(await _read(peer, name, id_), time.time()), refresh=True)
        await asyncio.sleep(SHOW_SECONDS)


async def _read(peer: Peer, name: str, id_: str) -> Rollout:
    return Rollout.received(await peer.json("GET", _path(name, id_)))


async def _events(peer: Peer, name: str, id_: str) -> AsyncIterator[AuditEvent]:
    """Read a rollout's events until it is over, through as many connections as that takes.

    Raises:
        Unavailable: the gateway was never there.
    """
    path, last = f"{_path(name, id_)}/events", "0"
    while True:
        try:
            async with peer.stream("GET", path, headers={"Last-Event-ID": last}) as reply:
                async for line in reply.content:
                    if line.startswith(b"data: "):
                        event = AuditEvent.received(line.removeprefix(b"data: "))
                        last = event.id
                        yield event
                return
        except (UpstreamTimeout, UpstreamFailed):
            await asyncio.sleep(RECONNECT_SECONDS)
        except Unavailable:
            if last == "0":
                raise
            await asyncio.sleep(RECONNECT_SECONDS)


def _why(reason: str | None) -> dict[str, str]:
    return {REASON_HEADER: quote(reason)} if reason else {}


def _path(name: str, id_: str | None = None) -> str:
    path = f"/admin/assistants/{quote(name)}/rollouts"
    return path if id_ is None else f"{path}/{quote(id_)}"
