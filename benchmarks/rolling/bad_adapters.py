"""How soon a bad adapter is found out by the answers that callers get, and by which check."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rolling.load import QUESTIONS, Gateway, loaded
from rolling.operator import Operator
from tests.fakes.engine_generation import Call
from tests.fakes.engine_replies import EngineRefusal
from tests.fakes.retriever import passage
from tests.service.gateway.installation import Installation

WEIGHT = 25.0
PATIENCE_SECONDS = 30.0
GOOD = "Orders leave within two days [1]."


@dataclass(frozen=True, slots=True)
class Detection:
    """What became of one bad adapter."""

    kind: str
    found: bool
    answers: int
    """Answers that it gave before it was taken back, or until patience ended."""
    seconds: float
    """From its first answer."""
    reason: str


@dataclass(frozen=True, slots=True)
class Trial:
    """Under which conditions an adapter is rolled out."""

    callers: int
    weight: float = WEIGHT
    """Percent of them that meet it."""
    patience_seconds: float = PATIENCE_SECONDS
    questions: Sequence[str] = QUESTIONS
    analysis: Mapping[str, object] = field(default_factory=dict)


def _errs(_: Call) -> str:
    raise EngineRefusal(500, "InternalServerError", "the adapter broke the engine")


KINDS: Mapping[str, Callable[[Call], str]] = {
    "errors": _errs,
    "babbles, citing what is not there": lambda _: "Blue [7] seven [9] on and on [8].",
    "babbles, citing nothing": lambda _: "Blue seven on and on.",
    "ignores the context, and cites it for a number": lambda _: "Orders leave within 9 days [1].",
    "ignores the context, and cites it for something else": lambda _: (
        "The shop opens on Sundays [1]."
    ),
    "denies the context in its own words": lambda _: "Orders leave in two years [1].",
    "ignores the context, saying that it is not told": lambda _: (
        "I could not find this in the documents I have."
    ),
}


async def detections(
    installed: Installation, operator: Operator, gateways: Sequence[Gateway], *, callers: int
) -> list[Detection]:
    """Roll one adapter of each kind out at a quarter of the callers, with every check on."""
    installed.retriever.passages = [passage("Orders leave within two days.", title="Delivery")]
    found = []
    for number, (kind, says) in enumerate(KINDS.items()):
        name = f"bad-{number}"

        def reply(call: Call, name: str = name, says: Callable[[Call], str] = says) -> str:
            if call.body.get("logprobs"):
                # The proof of a loaded adapter; what is bad about this one shows only in answers.
                return call.marker or "base"
            return says(call) if call.marker == name else GOOD

        for replica in installed.replicas:
            replica.engine.reply = reply
        bundle = {"retrieval": {"collections": ["handbook"]}, "profile": {"system": "x"}}
        await operator.bind(**bundle)
        candidate = {**bundle, "adapter": await installed.adapter(name)}
        found.append(await detected(operator, gateways, kind, candidate, Trial(callers)))
    return found


async def detected(
    operator: Operator,
    gateways: Sequence[Gateway],
    kind: str,
    bundle: dict[str, object],
    trial: Trial,
) -> Detection:
    """Roll one adapter out beside what the assistant serves, until it is found out."""
    # A long step: what ends it is the verdict, not the time.
    analysis = {"abstentions": 0.05, "min_samples": 1_000_000, **trial.analysis}
    rollout = await operator.begin(bundle, trial.weight, analysis=analysis)
    brought = (await operator.until(rollout, "canary"))["candidate"]
    began = time.monotonic()
    async with loaded(
        gateways, operator.assistant, callers=trial.callers, questions=trial.questions
    ) as load:
        while True:
            await asyncio.sleep(operator.look_seconds)
            seen = await operator.until(rollout, "canary", "rolled_back")
            seconds = time.monotonic() - began
            if seen["state"] == "rolled_back" or seconds > trial.patience_seconds:
                break
    # A failed answer names no release; the errors check counts them.
    answers = sum(s.release == brought or s.status >= 500 for s in load.answers)
    if seen["state"] == "canary":
        await operator.move(rollout, "abort")
    return Detection(kind, seen["state"] == "rolled_back", answers, seconds, seen["reason"] or "")
