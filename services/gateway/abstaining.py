"""The answer that needs no engine: nothing relevant was found."""

from __future__ import annotations

import time
from typing import Any

from services.contracts.assistants import Abstention
from services.domain.language import language_of


def abstention_text(abstention: Abstention, question: str) -> str:
    """Choose the sentence in the question's language."""
    return abstention.ko if language_of(question) == "ko" else abstention.en


def abstention_events(
    text: str, *, request_id: str, choices: int, structured: bool
) -> list[dict[str, Any]]:
    """Write the sentence as an engine would stream it."""
    envelope = _envelope(request_id, "chat.completion.chunk")
    opened = [
        {"index": i, "delta": {"role": "assistant", **_message(text, structured=structured)}}
        for i in range(choices)
    ]
    ended = [{"index": i, "delta": {}, "finish_reason": "stop"} for i in range(choices)]
    for choice in opened:
        choice["finish_reason"] = None
    return [{**envelope, "choices": [choice]} for choice in (*opened, *ended)]


def abstention_payload(
    text: str, *, request_id: str, choices: int, structured: bool
) -> dict[str, Any]:
    """Write the sentence as an engine's whole answer."""
    message = {"role": "assistant", "content": None, **_message(text, structured=structured)}
    return {
        **_envelope(request_id, "chat.completion"),
        "choices": [
            {"index": i, "message": dict(message), "finish_reason": "stop", "logprobs": None}
            for i in range(choices)
        ],
    }


def _envelope(request_id: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{request_id}", "object": kind, "created": int(time.time())}


def _message(text: str, *, structured: bool) -> dict[str, str]:
    """Put the sentence where the app expects it: JSON was asked for, so text is a refusal."""
    return {"refusal": text} if structured else {"content": text}
