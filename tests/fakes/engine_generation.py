"""Completions of the fake engine: deterministic text, counted in words instead of tokens."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.fakes.engine_replies import bad_request

_WORD = re.compile(r"\s*\S+")
_TRAILING = re.compile(r"\s+$")


@dataclass(frozen=True, slots=True)
class Call:
    """One completion request as the engine read it."""

    body: dict[str, Any]
    request_id: str
    prompt: str
    marker: str
    """Of the weights that answer; empty for the base."""

    @property
    def chat(self) -> bool:
        """Whether it came through the chat route."""
        return "messages" in self.body

    @property
    def question(self) -> str:
        """The text of the last user turn, or the whole prompt."""
        turns = [t for t in self.body.get("messages", []) if t.get("role") == "user"]
        return text_of(turns[-1]) if turns else self.prompt


def echo(call: Call) -> str:
    """Answer with the marker and the last words of the question."""
    words = call.question.split()
    return " ".join((f"[{call.marker or 'base'}]", *words[-8:]))


def text_of(turn: dict[str, Any]) -> str:
    """Read a turn's text, joining content parts."""
    content = turn.get("content")
    if isinstance(content, list):
        return "\n".join(part.get("text", "") for part in content)
    return content or ""


def render(body: dict[str, Any]) -> str:
    """Apply the fake's chat template, or take the prompt as it is."""
    if "messages" not in body:
        return str(body["prompt"])
    turns = "".join(f"{turn['role']}: {text_of(turn)}\n" for turn in body["messages"])
    return turns + "assistant:"


def pieces(text: str) -> list[str]:
    """Cut a text into the fake's tokens: words with the white space before them."""
    words = _WORD.findall(text)
    rest = _TRAILING.search(text)
    return words + ([rest.group()] if rest else [])


@dataclass(frozen=True, slots=True)
class Generated:
    """One finished choice."""

    tokens: list[str]
    finish_reason: str
    stop_reason: str | None

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.tokens)


def generate(call: Call, text: str, *, max_model_len: int) -> Generated:
    """Cut a reply at the first stop string and at the token limit.

    Raises:
        EngineRefusal: when the prompt and the wanted tokens do not fit the context.
    """
    limit = _token_limit(call, max_model_len)
    reason, stop_reason = "stop", None
    for stop in _stops(call.body):
        if (at := text.find(stop)) >= 0:
            text, stop_reason = text[:at], stop
    tokens = pieces(text)
    if len(tokens) > limit:
        tokens, reason, stop_reason = tokens[:limit], "length", None
    return Generated(tokens, reason, stop_reason)


def prompt_tokens(call: Call) -> int:
    """Count a prompt."""
    return max(1, len(call.prompt.split()))


def _token_limit(call: Call, max_model_len: int) -> int:
    body, used = call.body, prompt_tokens(call)
    wanted = body.get("max_completion_tokens") or body.get("max_tokens")
    if used + (wanted or 1) > max_model_len:
        raise bad_request(
            f"This model's maximum context length is {max_model_len} tokens. However, you "
            f"requested {wanted or 0} output tokens and your prompt contains at least {used} "
            "input tokens. Please reduce the length of the input prompt or the number of "
            "requested output tokens.",
            param="input_tokens",
        )
    return int(wanted or (max_model_len - used if call.chat else 16))


def _stops(body: dict[str, Any]) -> list[str]:
    stop = body.get("stop") or []
    return [stop] if isinstance(stop, str) else list(stop)


class Replies:
    """Builds the JSON of one call's reply and chunks."""

    def __init__(self, call: Call) -> None:
        self._call = call
        kind = "chatcmpl" if call.chat else "cmpl"
        self._shared = {
            "id": f"{kind}-{call.request_id}",
            "created": int(time.time()),
            "model": call.body["model"],
        }
        options = call.body.get("stream_options") or {}
        self._continuous = bool(options.get("continuous_usage_stats"))

    def whole(self, choices: list[Generated], effect: float) -> dict[str, Any]:
        """The body of a reply that is not streamed."""
        call = self._call
        count = sum(len(choice.tokens) for choice in choices)
        body: dict[str, Any] = {
            **self._shared,
            "object": "chat.completion" if call.chat else "text_completion",
            "choices": [self._choice(i, choice, effect) for i, choice in enumerate(choices)],
            "usage": self.usage(count),
            "system_fingerprint": "fake",
        }
        if call.chat:
            body["prompt_logprobs"] = None
        return body

    def first(self, index: int) -> dict[str, Any]:
        """The chunk that names the role."""
        return self._chunk(index, {"role": "assistant", "content": ""}, 0)

    def delta(self, index: int, choice: Generated, at: int) -> dict[str, Any]:
        """The chunk of one token; the last one carries the finish reason."""
        chunk = self._chunk(index, {"content": choice.tokens[at]}, at + 1)
        if at == len(choice.tokens) - 1:
            chunk["choices"][0]["finish_reason"] = choice.finish_reason
            chunk["choices"][0]["stop_reason"] = choice.stop_reason
        return chunk

    def empty(self, index: int, choice: Generated) -> dict[str, Any]:
        """The only chunk of an answer without text."""
        chunk = self._chunk(index, {"content": ""}, 1)
        chunk["choices"][0]["finish_reason"] = choice.finish_reason
        chunk["choices"][0]["stop_reason"] = choice.stop_reason
        return chunk

    def last(self, completion_tokens: int) -> dict[str, Any]:
        """The chunk that carries the usage and no choice."""
        chunk = self._chunk(0, {}, completion_tokens)
        return {**chunk, "choices": [], "usage": self.usage(completion_tokens)}

    def usage(self, completion_tokens: int) -> dict[str, Any]:
        """Count a call's tokens."""
        prompt = prompt_tokens(self._call)
        return {
            "prompt_tokens": prompt,
            "total_tokens": prompt + completion_tokens,
            "completion_tokens": completion_tokens,
        }

    def _chunk(self, index: int, delta: dict[str, Any], tokens: int) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": index, "logprobs": None, "finish_reason": None}
        chunk: dict[str, Any] = {**self._shared, "choices": [choice]}
        if self._call.chat:
            chunk["object"] = "chat.completion.chunk"
            choice["delta"] = delta
        else:
            chunk["object"] = "text_completion"
            choice["text"] = delta.get("content", "")
        if self._continuous:
            chunk["usage"] = self.usage(tokens)
        return chunk

    def _choice(self, index: int, choice: Generated, effect: float) -> dict[str, Any]:
        body: dict[str, Any] = {
            "index": index,
            "logprobs": None,
            "finish_reason": choice.finish_reason,
            "stop_reason": choice.stop_reason,
        }
        if self._call.chat:
            return {**body, "message": {"role": "assistant", "content": choice.text}}
        body["text"] = choice.text
        if self._call.body.get("prompt_logprobs") is not None:
            body["prompt_logprobs"] = prompt_logprobs(self._call.prompt, effect)
        return body


def prompt_logprobs(prompt: str, effect: float) -> list[dict[str, Any] | None]:
    """Score a prompt's words; an adapter shifts every score by its effect."""
    scores: list[dict[str, Any] | None] = [None]
    for place, word in enumerate(prompt.split()[1:], start=1):
        logprob = -math.log(2 + len(word)) - effect
        scores.append({str(place): {"logprob": logprob, "rank": 1, "decoded_token": word}})
    return scores


def new_id() -> str:
    """Make a request id."""
    return uuid4().hex
