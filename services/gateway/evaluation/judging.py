"""What judges answers beside the rules: a language model, a style classifier."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from pydantic import ValidationError

from services.chassis.completions import (
    Endpoint,
    EndpointAway,
    EndpointRefused,
    EndpointUnusable,
    endpoint_url,
)
from services.contracts.evaluation_cases import EvaluationCase
from services.contracts.evaluations import Judges
from services.contracts.styles import StyleModel
from services.domain.evaluation.answers import Answer
from services.domain.evaluation.judging import questions_to_judge
from services.domain.evaluation.rubrics import VERSION, Opinion, read_opinion
from services.domain.evaluation.styles import style_hash
from services.gateway.settings import EvaluationLimits

VERDICT_TOKENS = 512
"""How long a verdict may be."""


class JudgeAway(Exception):
    """The judge gives no verdict now; the evaluation can go on later."""


@dataclass(frozen=True, slots=True)
class Judging:
    """What the settings name."""

    endpoint: Endpoint | None
    model: str | None
    styles: StyleModel | None

    @property
    def names(self) -> Judges:
        """What a report says of it."""
        return Judges(
            judge=f"{self.model} ({VERSION})" if self.endpoint else None,
            judge_url=self.endpoint.base_url if self.endpoint else None,
            styles=style_hash(self.styles) if self.styles else None,
        )

    async def opinions(self, case: EvaluationCase, answer: Answer) -> dict[str, Opinion]:
        """Ask what the case's checks want to know of the judge.

        Raises:
            JudgeAway: it cannot be asked now.
        """
        if self.endpoint is None:
            return {}
        found = {}
        for key, messages in questions_to_judge(case, answer).items():
            body = {
                "model": self.model,
                "messages": messages,
                "temperature": 0.0,
                "max_completion_tokens": VERDICT_TOKENS,
            }
            try:
                found[key] = read_opinion((await self.endpoint.complete(body)).text)
            except EndpointRefused as error:
                found[key] = Opinion(None, error.message)
            except (EndpointAway, EndpointUnusable) as error:
                raise JudgeAway(error.message) from error
        return found


async def open_judging(limits: EvaluationLimits, session: aiohttp.ClientSession) -> Judging:
    """Open what the settings name.

    Raises:
        ValueError: the style classifier is none.
        OSError: it cannot be read.
    """
    endpoint = None
    if limits.judge_url is not None:
        key = limits.judge_api_key
        endpoint = Endpoint(
            "judge",
            endpoint_url(limits.judge_url),
            session,
            key.get_secret_value() if key else None,
            timeout_seconds=limits.judge_timeout_seconds,
            patience_seconds=limits.judge_patience_seconds,
        )
    styles = None
    if limits.style_model is not None:
        styles = await asyncio.to_thread(_read, limits.style_model)
    return Judging(endpoint, limits.judge_model, styles)


def _read(file: Path) -> StyleModel:
    try:
        return StyleModel.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise ValueError(
            f"{file} is no style classifier; make one with `inkstone eval style train`"
        ) from error
