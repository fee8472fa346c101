"""The JSON of the fake engine's completions, whole and in chunks, as vLLM 0.32 writes it."""

from __future__ import annotations

import math
import time
from typing import Any

from tests.fakes.engine_generation import Call, Generated, prompt_tokens

FINGERPRINT = "vllm-0.32.0-00000000"


class Bodies:
    """Builds the bodies of one call.

    Args:
        effect: how far the weights that answer move log-probabilities from the base's.
    """

    def __init__(self, call: Call, effect: float) -> None:
        self.call = call
        self._effect = effect
        kind = "chatcmpl" if call.chat else "cmpl"
        self._shared = {
            "id": f"{kind}-{call.request_id}",
            "created": int(time.time()),
            "model": call.body["model"],
        }

    def whole(self, choices: list[Generated]) -> dict[str, Any]:
        """The body of a reply that is not streamed."""
        count = sum(choice.generated for choice in choices)
        return {
            **self._shared,
            "object": "chat.completion" if self.call.chat else "text_completion",
            "choices": [self._choice(index, choice) for index, choice in enumerate(choices)],
            "usage": {**self._usage(count), "prompt_tokens_details": {"cached_tokens": 0}},
            "system_fingerprint": FINGERPRINT,
            "prompt_logprobs": None,
        }

    def first(self, index: int) -> dict[str, Any]:
        """The chunk that names the role."""
        return self._chunk(index, {"role": "assistant", "content": ""}, 0)

    def delta(self, index: int, choice: Generated, at: int) -> dict[str, Any]:
        """The chunk of one token; the last one carries the finish reason."""
        text = choice.tokens[at] if choice.tokens else ""
        is_last = at >= len(choice.tokens) - 1
        chunk = self._chunk(index, {"content": text}, choice.generated if is_last else at + 1)
        place = chunk["choices"][0]
        if self.call.body.get("logprobs"):
            place["logprobs"] = {"content": [self._logprob(text)]}
        if is_last:
            place["finish_reason"] = choice.finish_reason
            place["stop_reason"] = choice.stop_reason
        return chunk

    def last(self, choices: list[Generated]) -> dict[str, Any]:
        """The chunk that carries the usage and no choice."""
        count = sum(choice.generated for choice in choices)
        usage = {**self._usage(count), "prompt_tokens_details": {"cached_tokens": 0}}
        chunk = self._chunk(0, {}, count)
        return {**chunk, "choices": [], "usage": usage, "system_fingerprint": FINGERPRINT}

    def _usage(self, completion_tokens: int) -> dict[str, Any]:
        prompt = prompt_tokens(self.call)
        return {
            "prompt_tokens": prompt,
            "total_tokens": prompt + completion_tokens,
            "completion_tokens": completion_tokens,
            "completion_tokens_details": None,
        }

    def _chunk(self, index: int, delta: dict[str, Any], tokens: int) -> dict[str, Any]:
        """Every chunk carries the usage so far: the engine is started to force it."""
        choice: dict[str, Any] = {"index": index, "logprobs": None, "finish_reason": None}
        chunk: dict[str, Any] = {
            **self._shared,
            "choices": [choice],
            "usage": self._usage(tokens),
        }
        if self.call.chat:
            chunk["object"] = "chat.completion.chunk"
            choice["delta"] = delta
        else:
            chunk["object"] = "text_completion"
            choice["text"] = delta.get("content", "")
        return chunk

    def _choice(self, index: int, choice: Generated) -> dict[str, Any]:
        body: dict[str, Any] = {
            "index": index,
            "logprobs": None,
            "finish_reason": choice.finish_reason,
            "stop_reason": choice.stop_reason,
        }
        if self.call.body.get("logprobs"):
            body["logprobs"] = {"content": [self._logprob(token) for token in choice.tokens]}
        if self.call.chat:
            return {**body, "message": {"role": "assistant", "content": choice.text}}
        return {**body, "text": choice.text}

    def _logprob(self, token: str) -> dict[str, Any]:
        """Score a token and its rivals; an adapter shifts the scores by its effect."""
        rivals = [
            _scored(rival, -math.log(2 + rank) - self._effect)
            for rank, rival in enumerate([token, "the", "a", "그"])
        ]
        count = self.call.body.get("top_logprobs") or 0
        return {**rivals[0], "top_logprobs": rivals[:count]}


def _scored(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}
