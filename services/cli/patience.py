"""Asking the gateway until there is room; asking again must change nothing."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.chassis.errors import Overloaded, Unavailable
from services.chassis.http import Peer
from services.cli.failures import CommandError

PATIENCE_SECONDS = 300.0
"""How long a call is repeated while the gateway has no room or cannot be reached."""

LONGEST_PAUSE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    body: Mapping[str, Any]
    """As decoded."""
    seconds: float
    """Of the call that was answered; calls that were turned away before are not in it."""


async def patiently(
    peer: Peer,
    path: str,
    body: Any,
    headers: Mapping[str, str] | None = None,
    *,
    seconds: float = PATIENCE_SECONDS,
) -> Reply:
    """Post until there is room.

    Raises:
        CommandError: there is none for so many seconds.
        ServiceError: the peer refuses.
    """
    deadline, pause = time.monotonic() + seconds, 0.25
    while True:
        began = time.perf_counter()
        try:
            found = await peer.json("POST", path, body=body, headers=headers)
            return Reply(found, time.perf_counter() - began)
        except (Unavailable, Overloaded) as error:
            if time.monotonic() > deadline:
                raise CommandError(
                    f"The {peer.name} had no room for {seconds:.0f} s ({error.message}); run the "
                    "command again, it goes on where it stood."
                ) from error
            wait = error.retry_after_seconds or pause
        # All that were turned away together must not come back together.
        spread = 0.5 + random.random()  # noqa: S311 - not a secret
        await asyncio.sleep(min(wait, LONGEST_PAUSE_SECONDS) * spread)
        pause *= 2
