"""A hosted model as a rung: any URL that speaks OpenAI's chat completions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from services.chassis.errors import InvalidRequest
from services.chassis.http import Peer
from services.cli.failures import CommandError
from services.cli.patience import PATIENCE_SECONDS, Reply, patiently
from services.contracts.assistants import Profile
from services.contracts.evaluation_cases import EvaluationCase
from services.domain.reasoning import ReasoningFilter
from services.domain.rendering import compose

_MENDS = {"max_tokens": "max_completion_tokens", "temperature": None, "top_p": None, "stop": None}
"""Fields that some models refuse, and what is sent instead; None for nothing."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a hosted model is."""

    url: str
    """Up to and with `/v1`."""
    model: str


def target_of(text: str) -> Target:
    """Read `URL,model`.

    Raises:
        CommandError: it is not that.
    """
    url, _, model = text.partition(",")
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.netloc or not model.strip():
        raise CommandError(
            f"--target {text} names no model; write it like https://api.example.com/v1,model."
        )
    if parts.username or parts.password:
        raise CommandError("--target holds a password; put the key into the variable instead.")
    return Target(url.strip().rstrip("/"), model.strip())


def key_in(variable: str) -> str:
    """Read a target's key from the environment.

    Raises:
        CommandError: it is not there.
    """
    key = os.environ.get(variable, "").strip()
    if not key:
        raise CommandError(
            f"The target needs a key: set {variable}, or name another variable with --target-key "
            "(any text will do where the server wants none)."
        )
    return key


@dataclass(slots=True)
class HostedModel:
    """A hosted model under a profile."""

    peer: Peer
    model: str
    profile: Profile
    patience_seconds: float = PATIENCE_SECONDS
    _refused: set[str] = field(default_factory=set)
    """Fields that this model does not take."""

    async def reply(self, case: EvaluationCase) -> Reply:
        """Ask one case; a field that the model refuses is left out from then on."""
        turns = [turn.model_dump() for turn in case.turns]
        messages = compose(self.profile, turns, [], grounded=False)
        while True:
            body = {"model": self.model, "messages": messages, **self._parameters()}
            try:
                reply = await patiently(
                    self.peer, "/chat/completions", body, seconds=self.patience_seconds
                )
            except InvalidRequest as error:
                if error.param not in _MENDS or error.param in self._refused:
                    raise
                self._refused.add(error.param)
                continue
            return Reply(self._answered(reply.body), reply.seconds)

    def _parameters(self) -> dict[str, Any]:
        sampling = self.profile.sampling
        given: dict[str, Any] = {
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            **({"stop": sampling.stop[:4]} if sampling.stop else {}),
        }
        for name in self._refused & given.keys():
            value, instead = given.pop(name), _MENDS[name]
            if instead is not None:
                given[instead] = value
        if self.profile.output_schema is not None:
            schema = {"name": "answer", "schema": self.profile.output_schema, "strict": True}
            given["response_format"] = {"type": "json_schema", "json_schema": schema}
        return given

    def _answered(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Hide the steps, as the gateway does."""
        choice = body["choices"][0]
        text = choice["message"].get("content")
        if self.profile.reasoning != "cot" or not text:
            return body
        steps = ReasoningFilter()
        shown = steps.push(text) + steps.close()
        message = {**choice["message"], "content": shown}
        return {**body, "choices": [{**choice, "message": message}]}
