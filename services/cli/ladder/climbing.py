"""Climbing a ladder: each rung is put up, asked every case, and taken down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import orjson

from services.chassis.errors import ServiceError
from services.chassis.http import Peer
from services.cli.answer_asking import Asked, Assistants, Respond
from services.cli.gateway import Gateway
from services.cli.ladder.board import Board
from services.cli.ladder.hosted import HostedModel
from services.cli.ladder.plan import Plan
from services.cli.ladder.record import Line, Record
from services.cli.ladder.standing import standing
from services.cli.ladder.training import Trainer, TrainingFailed
from services.cli.ladder.training_rows import training_file
from services.cli.patience import Reply
from services.contracts.assistants import Profile
from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.ladder import RungLeftOut, RungTraining
from services.domain.ladder.examples import picked
from services.domain.ladder.figures import Climbed
from services.domain.ladder.prompts import ANSWER_FIELD, profile_of
from services.domain.ladder.rungs import Rung

FUTILE = 5
"""A rung whose first so many answers all fail is given up."""

LONGEST_NAME = 40
"""How much of an assistant's name stands in the name of its adapters."""

Todo = Sequence[tuple[EvaluationCase, int]]


class RungFailed(Exception):
    """A rung cannot be measured; the text says why."""


@dataclass(slots=True)
class Climber:
    """Measures the rungs of a plan, one after the other."""

    plan: Plan
    gateway: Gateway
    assistants: Assistants
    record: Record
    trainer: Trainer
    targets: Mapping[str, Peer]
    """Where hosted models answer, by their names."""
    board: Board
    repeats: int
    seed: int
    left_out: list[RungLeftOut] = field(default_factory=list)

    async def climb(self) -> list[Climbed]:
        """Measure what is not measured yet; a rung that cannot be is left out, with the reason.

        Raises:
            CommandError: nothing can answer for too long.
            ServiceError: the gateway fails.
        """
        found = []
        for rung in self.plan.rungs:
            try:
                found.append(await self._climbed(rung))
                self.board.over(rung.name, "measured")
            except (RungFailed, TrainingFailed) as failure:
                self._leave_out(rung, str(failure))
            except ServiceError as error:
                if error.status >= 500:
                    raise
                self._leave_out(rung, error.message)
        return found

    def _leave_out(self, rung: Rung, reason: str) -> None:
        self.left_out.append(RungLeftOut(name=rung.name, reason=reason))
        self.board.over(rung.name, f"left out: {reason}")

    async def _climbed(self, rung: Rung) -> Climbed:
        wanted = [(case, n) for n in range(self.repeats) for case in self.plan.cases]
        before = self.record.answers(rung.name)
        settled = {at: one for at, one in before.items() if one.error is None}
        todo = [(case, n) for case, n in wanted if (case.id, n) not in settled]
        for one in settled.values():
            self.board.answered(rung.name, passed=one.passed)
        training = self.record.trained(rung.name)
        if todo:
            training = await self._measure(rung, todo)
        answers = self.record.answers(rung.name)
        return Climbed(rung, [answers[case.id, n] for case, n in wanted], training)

    async def _measure(self, rung: Rung, todo: Todo) -> RungTraining | None:
        profile = self.profile(rung)
        if rung.target is not None:
            hosted = HostedModel(self.targets[rung.target], rung.target, profile)
            await self._ask(rung, hosted.reply, todo)
            return None
        name = f"ladder-{self.record.heading.run}-{rung.name.replace('+', '.')}"
        policy = self.plan.policy if rung.retrieval else None
        self.board.stage(rung.name, "is put up", now=True)
        async with standing(self.gateway, name, profile, policy) as assistant:
            training = await self._trained(rung, name, profile)
            if training is not None:
                self.board.stage(rung.name, f"{training.adapter} is loaded", now=True)
                await assistant.bind(training.adapter)
            await self._ask(rung, partial(self.assistants.reply, Asked(name)), todo)
        return training

    def profile(self, rung: Rung) -> Profile:
        """Write what a rung is told."""
        plan = self.plan
        shown = picked(plan.rows, rung.examples, plan.task.labels, self.seed)
        return profile_of(rung, plan.task, shown)

    async def _trained(self, rung: Rung, assistant: str, profile: Profile) -> RungTraining | None:
        if rung.rows is None:
            return None
        told = partial(self.board.stage, rung.name)
        rows = self.plan.rows[: rung.rows]
        policy = self.plan.policy if rung.retrieval else None
        written = partial(training_file, self.gateway, rows, profile, policy, told)
        suffix = f"{self.plan.assistant[:LONGEST_NAME]}-{rung.name.replace('+', '-')}"
        return await self.trainer.adapter(rung, assistant, suffix, written, told)

    async def _ask(self, rung: Rung, respond: Respond, todo: Todo) -> None:
        failed = 0
        if rung.schema and self.plan.task.is_wrapped:
            respond = partial(_unwrapped, respond)
        answers = self.assistants.judged(respond, todo)
        async for answer in answers:
            self.record.add(Line(rung=rung.name, answer=answer))
            self.board.answered(rung.name, passed=answer.passed)
            failed = failed + 1 if answer.error is not None and failed >= 0 else -1
            if failed == min(FUTILE, len(todo)):
                raise RungFailed(f"its first {failed} answers failed: {answer.error}")


async def _unwrapped(respond: Respond, case: EvaluationCase) -> Reply:
    """Take a label out of the JSON that a schema of ours makes of it."""
    reply = await respond(case)
    choice = reply.body["choices"][0]
    message = choice["message"]
    label = _label(message.get("content"))
    if label is None:
        return reply
    body = {**reply.body, "choices": [{**choice, "message": {**message, "content": label}}]}
    return replace(reply, body=body)


def _label(text: Any) -> str | None:
    try:
        found = orjson.loads(text or "")
    except orjson.JSONDecodeError:
        return None
    value = found.get(ANSWER_FIELD) if isinstance(found, dict) else found
    return value if isinstance(value, str) else None
