"""What the agent knows of its engine now; written by one loop, read by the others."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Literal

from services.generator.base_model import BaseModel
from services.generator.engine import Engine

Liveness = Literal["starting", "alive", "down"]


@dataclass(frozen=True, slots=True)
class LiveEngine:
    """An engine that answers, from its start to its end."""

    engine: Engine
    max_model_len: int
    started_at: float
    """Seconds since the epoch."""


@dataclass(slots=True)
class EngineState:
    """The engine's state.

    Attributes:
        phase: what it is doing, for a person.
        base: what it holds, once that is known.
        url: where it listens, once that is known.
        live: the engine that answers, if one does; another object after each start.
    """

    liveness: Liveness = "starting"
    phase: str = "not started"
    base: BaseModel | None = None
    url: str = ""
    live: LiveEngine | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def starts(self, phase: str) -> None:
        """Note how far a start has come."""
        self.liveness, self.phase = "starting", phase

    def came_up(self, live: LiveEngine) -> None:
        """Note that an engine answers."""
        self.liveness, self.phase, self.live = "alive", "running", live
        self._changed.set()

    def went_down(self, reason: str) -> None:
        """Note that no engine answers."""
        self.liveness, self.phase, self.live = "down", reason, None
        self._changed.set()

    async def wait_for_change(self, seconds: float) -> None:
        """Return once an engine came up or went down, or after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()
