"""Completions of the fake engine: deterministic text, counted in words instead of tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

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
    generated: int
    """How many tokens were made, given out or not."""

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.tokens)


def generate(call: Call, text: str, *, max_model_len: int) -> Generated:
    """Cut a reply at the first stop string and at the token limit.

    The tokens of a stop string were generated, and count, though they are not given out.
    """
    limit = token_limit(call, max_model_len)
    tokens = pieces(text)
    reason, stop_reason, generated = "stop", None, len(tokens)
    for stop in _stops(call.body):
        if (at := text.find(stop)) >= 0:
            generated = len(pieces(text[: at + len(stop)]))
            text, stop_reason = text[:at], stop
    tokens = pieces(text)
    if len(tokens) > limit:
        tokens, reason, stop_reason, generated = tokens[:limit], "length", None, limit
    return Generated(tokens, reason, stop_reason, max(generated, 1))


def prompt_tokens(call: Call) -> int:
    """Count a prompt."""
    return max(1, len(call.prompt.split()))


def token_limit(call: Call, max_model_len: int) -> int:
    """Say how many tokens may be generated: no more than the context has room for.

    Raises:
        EngineRefusal: when the prompt alone does not fit the context.
    """
    body, used = call.body, prompt_tokens(call)
    wanted = body.get("max_completion_tokens") or body.get("max_tokens")
    limit = f"This model's maximum context length is {max_model_len} tokens. However, "
    if used >= max_model_len:
        raise bad_request(
            f"{limit}your prompt contains at least {max_model_len + 1} input tokens, which exceeds "
            "this limit even without any output tokens. Please reduce the length of the input "
            f"prompt. (parameter=input_tokens, value={max_model_len + 1})",
            param="input_tokens",
        )
    rest = max_model_len - used
    return min(int(wanted), rest) if wanted else (rest if call.chat else 16)


def _stops(body: dict[str, Any]) -> list[str]:
    stop = body.get("stop") or []
    return [stop] if isinstance(stop, str) else list(stop)
