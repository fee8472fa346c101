"""Who meets the candidate: the share that was asked for, and nobody who goes back."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.service.gateway.chat_stack import ChatStack, chat_stack

WEIGHTS = (1, 5, 25, 50, 75)
CONFIDENCE_Z = 3.29
"""Standard deviations that a binomial share leaves once in a thousand times."""


@dataclass(frozen=True, slots=True)
class Share:
    """What was seen at one weight."""

    weight: float
    subjects: int
    seen: int
    """Subjects that the candidate answered."""
    moved_back: int
    """Subjects that met the candidate at a smaller weight and the stable release at this one."""
    unsteady: int
    """Subjects whose second turn was answered by the other arm."""

    @property
    def bounds(self) -> tuple[float, float]:
        """The share's bounds if callers were drawn independently, 99.9 % (normal approximation)."""
        p = self.weight / 100
        width = CONFIDENCE_Z * math.sqrt(p * (1 - p) / self.subjects)
        return max(0.0, p - width), min(1.0, p + width)

    @property
    def holds(self) -> bool:
        """Whether the share is as it should be, and nobody moved."""
        low, high = self.bounds
        return low <= self.seen / self.subjects <= high and not self.moved_back + self.unsteady


async def shares(subjects: int) -> Sequence[Share]:
    """Ask for every subject twice at every weight of one rollout, over HTTP."""
    with tempfile.TemporaryDirectory() as folder:
        # The controller is moved by hand, so that each weight is looked at as long as it takes.
        async with chat_stack(Path(folder), rollouts={"look_seconds": 3600}) as stack:
            await stack.bind()
            body = {
                "bundle": {"profile": {"system": "new"}},
                "steps": [{"weight": weight, "hold_seconds": 0} for weight in WEIGHTS],
                "analysis": None,
            }
            await stack.gateway.admin.post("/admin/assistants/support/rollouts", json=body)
            controller = stack.gateway.resources.controller
            while not stack.gateway.resources.snapshot.canaries:
                await controller.look()
            found, before = list[Share](), set[int]()
            for weight in WEIGHTS:
                turns = [await _chosen(stack, subjects) for _ in range(2)]
                found.append(
                    Share(
                        weight,
                        subjects,
                        len(turns[0]),
                        moved_back=len(before - turns[0]),
                        unsteady=len(turns[0] ^ turns[1]),
                    )
                )
                before = turns[0]
                await controller.look()
            return found


async def _chosen(stack: ChatStack, subjects: int) -> set[int]:

    chosen = set()
    for number in range(subjects):
        reply = await stack.ask(conversation_id=f"대화 {number}")
        if reply.status != 200:
            raise RuntimeError(f"subject {number} got {reply}")
        if reply.body["inkstone"]["arm"] == "candidate":
            chosen.add(number)
    return chosen
