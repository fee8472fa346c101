"""Evaluations as operators handle them: sets of cases, and runs over them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from services.chassis.errors import InvalidRequest
from services.contracts.assistants import Release
from services.contracts.evaluations import Evaluation, EvaluationSet, EvaluationWrite
from services.domain.evaluation.cases import CasesError, read_cases
from services.domain.evaluation.judging import lacking
from services.gateway.binding import Binding
from services.gateway.evaluation.judging import Judging
from services.gateway.registry import (
    adapters,
    assistants,
    evaluation_sets,
    evaluations,
    idempotency,
    releases,
)
from services.gateway.registry.changes import Actor, Change, Registry
from services.gateway.registry.evaluations import NothingToCompare, Wanted
from services.gateway.registry.idempotency import Attempt
from services.gateway.registry.versions import Expected


class CasesInvalid(InvalidRequest):
    """A line of an evaluation set is no case."""

    code = "evaluation_cases_invalid"


@dataclass(frozen=True, slots=True)
class EvaluationDesk:
    """Takes sets of cases in, and begins evaluations."""

    registry: Registry
    binding: Binding
    judging: Judging
    """What judges beside the rules."""
    max_cases: int
    max_duration_seconds: float

    async def put_set(
        self, actor: Actor, name: str, body: bytes, expected: Expected = None
    ) -> EvaluationSet:
        """Make JSON lines the cases of a set.

        Raises:
            EvaluationSetChanged: the set is not at the expected version.
            CasesInvalid: naming the line, or what a check needs and is not there.
        """
        try:
            cases = await asyncio.to_thread(read_cases, body.decode(), most=self.max_cases)
        except UnicodeDecodeError as error:
            raise CasesInvalid(
                "The cases are no text in UTF-8; save them as JSON lines."
            ) from error
        except CasesError as error:
            raise CasesInvalid(f"{error}.", param="body") from error
        judged, styles = self.judging.endpoint is not None, self.judging.styles
        if missing := lacking(cases, judged=judged, model=styles):
            raise CasesInvalid(
                f"{missing[0].upper()}{missing[1:]}; set it for the gateway "
                "(INKSTONE_GATEWAY_EVALUATIONS__JUDGE_URL, __JUDGE_MODEL, __STYLE_MODEL), or leave "
                "the check out.",
                param="body",
            )
        return await evaluation_sets.put(self.registry, actor, name, cases, expected)

    async def begin(
        self, actor: Actor, write: EvaluationWrite, attempt: Attempt | None
    ) -> Evaluation:
        """Begin to evaluate a candidate; it is answered by nobody's request meanwhile.

        Raises:
            ServiceError: the first reason why it cannot be.
        """
        asked = f"evaluation {write.model_dump_json()}"
        async with self.registry.change(actor) as change:
            if attempt is not None:
                told = await idempotency.replay(change, attempt, asked)
                if told is not None:
                    return Evaluation.received(told[1])
            begun = await self._begin(change, write)
            if attempt is not None:
                reply = begun.model_dump(mode="json")
                await idempotency.remember(change, attempt, asked, 201, reply)
            return begun

    async def _begin(self, change: Change, write: EvaluationWrite) -> Evaluation:
        connection, tenant = change.connection, change.actor.tenant
        cases = await evaluation_sets.find(connection, tenant, write.cases)
        stable = (await assistants.find(connection, tenant, write.assistant)).stable
        baseline = stable
        if write.baseline is not None:
            baseline = await _release(change, write.assistant, write.baseline)
        candidate = await self._candidate(change, write, stable)
        if candidate.id == baseline.id:
            raise NothingToCompare(
                f"{candidate.id} is both baseline and candidate; name another one.",
                param="candidate",
            )
        for adapter in {baseline.adapter, candidate.adapter} - {None}:
            await adapters.find(connection, tenant, str(adapter))
            await adapters.want(change, str(adapter), seconds=self.max_duration_seconds)
        return await evaluations.begin(
            change,
            Wanted(
                cases,
                baseline,
                candidate,
                write.repeats,
                write.rules,
                self.max_duration_seconds,
            ),
        )

    async def _candidate(self, change: Change, write: EvaluationWrite, stable: Release) -> Release:
        """Find the release that is named, or make one of the bundle."""
        if write.candidate is not None:
            return await _release(change, write.assistant, write.candidate)
        assert write.bundle is not None
        mismatch = await self.binding.check(change, write.assistant, write.bundle)
        if releases.serves(stable, write.bundle, prompt_mismatch=mismatch):
            raise NothingToCompare(
                f"{write.assistant!r} serves this already as {stable.id}; change the bundle.",
                param="bundle",
            )
        number = await releases.create(
            change, write.assistant, write.bundle, prompt_mismatch=mismatch
        )
        return await _release(change, write.assistant, f"{write.assistant}/{number}")


async def _release(change: Change, assistant: str, name: str) -> Release:
    found = await releases.named(change.connection, change.actor.tenant, name)
    if found.assistant != assistant:
        raise NothingToCompare(
            f"{name!r} is no release of {assistant!r}; name one of that assistant's own."
        )
    return found
