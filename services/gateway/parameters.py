"""From what the caller wishes and what the release allows to what the engine is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from services.chassis.errors import InvalidRequest
from services.contracts.assistants import Profile
from services.contracts.chat import ChatRequest
from services.gateway.resolution import Target

MAX_STOP_STRINGS = 16
"""How many stop strings a caller may send."""

_PASSED = (
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "min_p",
    "parallel_tool_calls",
    "presence_penalty",
    "repetition_penalty",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
)
"""Fields that pass to the engine as they are; what no list here names is not sent."""

_REFUSED = {
    "functions": "send `tools` instead",
    "function_call": "send `tool_choice` instead",
    "audio": "only text is answered",
    "prediction": "leave it out",
    "web_search_options": "documents are searched by `retrieval`",
}
"""Fields whose absence would change the answer without a word, and the mend."""


class UnsupportedField(InvalidRequest):
    """A field of OpenAI's that would be ignored to the caller's harm."""

    code = "unsupported_field"


@dataclass(frozen=True, slots=True)
class EngineParameters:
    """What an engine is asked, beside the messages."""

    body: dict[str, Any]
    """The fields that go to the engine."""
    answer: int | None
    """How long the answer may be; None leaves a direct call what the context has left."""

    @property
    def structured(self) -> bool:
        """Whether the answer is JSON, which no citation check may cut into."""
        form = self.body.get("response_format", {})
        return bool(form.get("type", "text") != "text")

    @property
    def tools(self) -> Any:
        """The definitions of tools that the engine may call."""
        return self.body.get("tools")

    @property
    def choices(self) -> int:
        """How many answers are wanted."""
        wanted: int = self.body.get("n", 1)
        return wanted


def engine_parameters(request: ChatRequest, target: Target) -> EngineParameters:
    """Choose what the engine is asked.

    Raises:
        InvalidRequest: for a field that cannot be honoured.
    """
    extras = request.model_extra or {}
    for name, mend in _REFUSED.items():
        if extras.get(name) is not None:
            raise UnsupportedField(f"`{name}` is not supported; {mend}.", param=name)
    chosen = {name: extras[name] for name in _PASSED if extras.get(name) is not None}
    chosen |= _sampling(request, target)
    if stop := _stop_strings(request.stop, target.profile):
        chosen["stop"] = stop
    if response_format := _response_format(request, target.profile):
        chosen["response_format"] = response_format
    if request.n is not None:
        chosen["n"] = request.n
    check_sendable(chosen, "The request")
    return EngineParameters(chosen, _answer_tokens(request, target))


def check_sendable(value: Any, name: str) -> None:
    """Make sure that a value can be written as JSON again.

    Raises:
        InvalidRequest: for a number beyond 64 bits, or nesting without end.
    """
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise InvalidRequest(
            f"{name} holds a number beyond 64 bits or is nested too deeply; send it as text."
        ) from error


def _answer_tokens(request: ChatRequest, target: Target) -> int | None:
    asked = request.max_completion_tokens or request.max_tokens
    if target.release is None:
        return asked
    cap = target.profile.sampling.max_tokens
    return min(asked, cap) if asked else cap


def _sampling(request: ChatRequest, target: Target) -> dict[str, Any]:
    """Take the caller's sampling, and the profile's where a release is called without one."""
    wished = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
    }
    if target.release is not None:
        profile = target.profile.sampling
        defaults = {"temperature": profile.temperature, "top_p": profile.top_p}
        if profile.seed is not None:
            defaults["seed"] = profile.seed
        if profile.repetition_penalty != 1.0 and not _wishes_penalty(request):
            defaults["repetition_penalty"] = profile.repetition_penalty
        return defaults | {name: value for name, value in wished.items() if value is not None}
    return {name: value for name, value in wished.items() if value is not None}


def _wishes_penalty(request: ChatRequest) -> bool:
    return (request.model_extra or {}).get("repetition_penalty") is not None


def _stop_strings(asked: str | list[str] | None, profile: Profile) -> list[str]:
    wished = [asked] if isinstance(asked, str) else asked or []
    if len(wished) > MAX_STOP_STRINGS:
        raise InvalidRequest(
            f"`stop` holds {len(wished)} strings; send at most {MAX_STOP_STRINGS}.", param="stop"
        )
    if "" in wished:
        raise InvalidRequest("`stop` holds an empty string; leave it out.", param="stop")
    return list(dict.fromkeys([*profile.sampling.stop, *wished]))


def _response_format(request: ChatRequest, profile: Profile) -> dict[str, Any] | None:
    if profile.output_schema is None:
        return request.response_format
    schema = {"name": "answer", "schema": profile.output_schema, "strict": True}
    return {"type": "json_schema", "json_schema": schema}
