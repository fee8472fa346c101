"""The local supervisor: every process of Inkstone on this machine, in the foreground."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from rich.console import Console

from services.cli.children import Child
from services.cli.display import Display, display_on
from services.cli.failures import CommandError
from services.cli.home import Home, open_home, remember_url
from services.cli.preparation import prepare
from services.cli.stack import Ports, ProcessPlan, choose_ports, plan

READY_SECONDS = 600.0
"""How long the stack may take to become ready."""

GIVE_UP_AFTER = 4
"""A process that ends so often before it is ready will not become so."""

_POLL_SECONDS = 0.25
LICENCE_NOTE = (
    "The packaged base is Gemma 3 270M, provided under and subject to the Gemma Terms of Use "
    "(https://ai.google.dev/gemma/terms)."
)


class AlreadyRunningError(CommandError):
    """Another supervisor holds this home."""


class NotReadyError(CommandError):
    """The stack did not become ready in time."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack."""

    home: Home
    ports: Ports
    children: tuple[Child, ...]
    first_start: bool
    ready_seconds: float

    @property
    def url(self) -> str:
        """The gateway's base URL."""
        return f"http://127.0.0.1:{self.ports.gateway}"


@contextlib.asynccontextmanager
async def running_stack(root: Path, port: int, console: Console) -> AsyncIterator[Stack]:
    """Start everything, wait until it is ready, hand it over, stop it all.

    Raises:
        AlreadyRunningError: when another supervisor holds the same home.
        NotReadyError: when a process is not ready within `READY_SECONDS`.
    """
    started = time.monotonic()
    home, first = open_home(root)
    with _sole_holder(home):
        ports = choose_ports(port)
        with display_on(console) as display:
            base, _ = await _prepare_models(display, home)
            plans = plan(home, ports, base=base, examples=_examples())
            say = display.say
            children = tuple(
                Child(p.name, p.command, p.environment, home.logs / f"{p.name}.log", say)
                for p in plans
            )
            tasks = [asyncio.create_task(child.keep_running()) for child in children]
            try:
                await _all_ready(display, plans, children)
            except BaseException:
                await _stop(tasks)
                raise
        stack = Stack(home, ports, children, first, time.monotonic() - started)
        remember_url(home, stack.url)
        try:
            yield stack
        finally:
            with console.status("stopping"):
                await _stop(tasks)


async def run_until_stopped(root: Path, port: int, console: Console) -> None:
    """Run the stack until Ctrl-C or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()
    assert main is not None

    def ask_to_stop() -> None:
        if stop.is_set() or not ready:
            main.cancel()
        stop.set()

    ready = False
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask_to_stop)
    async with running_stack(root, port, console) as stack:
        ready = True
        _welcome(console, stack)
        await stop.wait()
        console.print("Stopping: requests in flight may finish. Press Ctrl-C again to force it.")


async def _prepare_models(display: Display, home: Home) -> tuple[Path | str, Path | str]:
    wanted = os.environ.get("INKSTONE_GENERATOR_BASE_MODEL")
    if wanted is None:
        display.say(f"[dim]{LICENCE_NOTE}[/dim]")
    base = ("--model", wanted) if wanted else ()
    embedding = os.environ.get("INKSTONE_RETRIEVER_EMBEDDING_MODEL")
    model = ("--model", embedding) if embedding else ()
    backend = os.environ.get("INKSTONE_RETRIEVER_EMBEDDING__BACKEND")
    run_by = ("--backend", backend) if backend else ()
    where = ("--models-dir", str(home.models))
    base_path = await prepare(display, "base model", "services.generator.base_model", *where, *base)
    embedding_path = await prepare(
        display, "embedding model", "services.retriever.embedding_model", *where, *model, *run_by
    )
    return base_path, embedding_path


async def _all_ready(
    display: Display, plans: list[ProcessPlan], children: tuple[Child, ...]
) -> None:
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
            asyncio.timeout(READY_SECONDS),
        ):
            waits = (
                _becomes_ready(display, session, one, child)
                for one, child in zip(plans, children, strict=True)
            )
            await asyncio.gather(*waits)
    except TimeoutError as error:
        raise NotReadyError(f"not ready after {READY_SECONDS:.0f} s; the logs say why") from error


async def _becomes_ready(
    display: Display, session: aiohttp.ClientSession, one: ProcessPlan, child: Child
) -> None:
    task = display.task(one.name)
    while child.restarts < GIVE_UP_AFTER:
        try:
            async with session.get(one.ready_url) as reply:
                missing = (await reply.json()).get("missing", {})
                if reply.status == 200:
                    task.finish()
                    return
                task.update("; ".join(f"{k}: {v}" for k, v in missing.items()))
        except (aiohttp.ClientError, TimeoutError, ValueError):
            pass
        await asyncio.sleep(_POLL_SECONDS)
    tail = "\n".join(child.log.read_text(errors="replace").splitlines()[-15:])
    raise NotReadyError(
        f"{one.name} ended {GIVE_UP_AFTER} times before it was ready; "
        f"{child.log} ends with:\n{tail}"
    )


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    """Stop in reverse order of start, so that nobody loses what it depends on."""
    for task in reversed(tasks):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.contextmanager
def _sole_holder(home: Home) -> Iterator[None]:
    with (home.root / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunningError(
                f"Inkstone already runs on {home.root}; stop it or set INKSTONE_HOME to another."
            ) from error
        yield


def _examples() -> Path | None:
    folder = Path("examples/adapters").resolve()
    return folder if folder.is_dir() else None


def _welcome(console: Console, stack: Stack) -> None:
    keys = stack.home.keys
    console.print(f"\n[bold green]Ready[/bold green] after {stack.ready_seconds:.0f} s.")
    console.print(f"  endpoint     {stack.url}/v1   (API reference: {stack.url}/docs)")
    console.print(f"  app key      {keys / 'app.key'}")
    console.print(f"  admin key    {keys / 'admin.key'}")
    console.print(f"  logs         {stack.home.logs}")
    if stack.first_start:
        console.print(
            "\n  Try it:\n"
            f"    curl {stack.url}/v1/models "
            f'-H "Authorization: Bearer $(cat {keys / "app.key"})"'
        )
    console.print("\nCtrl-C stops everything.")
