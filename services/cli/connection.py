"""Which gateway a command speaks to, and with which key."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Concatenate

import typer
from openai import AsyncOpenAI

from services.chassis.errors import Unauthenticated
from services.chassis.http import Deadlines, Peer, open_session
from services.cli.gateway import Gateway
from services.cli.home import local_url

UPLOAD_SECONDS = 300.0
"""How long one call of a command may take; uploads and warming an adapter need minutes."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A gateway's URL and a key."""

    url: str
    key: str

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Gateway]:
        """Open the admin and knowledge routes."""
        async with open_session(connections=16) as session:
            deadlines = Deadlines(read=UPLOAD_SECONDS, total=UPLOAD_SECONDS)
            yield Gateway(Peer("gateway", self.url, session, self.key, deadlines))

    def openai(self) -> AsyncOpenAI:
        """Open the chat endpoint with the official client."""
        return AsyncOpenAI(base_url=f"{self.url}/v1", api_key=self.key)


def connect(
    url: Annotated[
        str | None,
        typer.Option(envvar="INKSTONE_URL", help="The gateway; the local stack's if unset."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(envvar="INKSTONE_API_KEY", help="An API key; the local admin key if unset."),
    ] = None,
    home: Annotated[
        Path, typer.Option(envvar="INKSTONE_HOME", help="The local stack's folder.")
    ] = Path(".inkstone"),
) -> Connection:
    """Take the given URL and key, or those of the local stack.

    Raises:
        Unauthenticated: when there is no key.
    """
    file = home / "keys" / "admin.key"
    if key is None and not file.exists():
        raise Unauthenticated(
            f"No key: set INKSTONE_API_KEY, or start the local stack, which writes {file}."
        )
    return Connection((url or local_url(home)).rstrip("/"), key or file.read_text().strip())


def connected(
    work: Callable[Concatenate[Connection, ...], Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """Make a command of work on a gateway: it gets the options of `connect` beside its own."""
    own = inspect.signature(work, eval_str=True)
    options = inspect.signature(connect, eval_str=True).parameters

    @functools.wraps(work)
    def command(**given: Any) -> None:
        connection = connect(**{name: given.pop(name) for name in options if name in given})
        asyncio.run(work(connection, **given))

    _, *mine = own.parameters.values()
    shown = own.replace(parameters=[*mine, *options.values()], return_annotation=None)
    command.__signature__ = shown  # type: ignore[attr-defined]  # what typer reads
    return command
