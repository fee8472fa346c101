"""What traces say of chat requests, by OpenTelemetry's conventions for generative AI.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ names the attributes `gen_ai.*`.
Texts of prompts, passages and answers are left out.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from services.chassis.tracing import Span, Value, client_span, current_span
from services.contracts.adapters import Replica
from services.gateway.accounts import Account, Usage
from services.gateway.clients.engine import EngineCall

_ASKED = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "n": "choice.count",
}
"""What callers ask for, and how the conventions name it."""


def chat_span(account: Account, call: EngineCall) -> AbstractContextManager[Span]:
    """Make the span of one answer that an engine makes, its tries included."""
    model = call.adapter or (account.target.model if account.target else "base")

    def describe() -> dict[str, Value]:
        asked = {name: call.body.get(field) for field, name in _ASKED.items()}
        numbers = {k: v for k, v in asked.items() if isinstance(v, (int, float))}
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "vllm",
            "gen_ai.request.model": model,
            "gen_ai.request.stream": account.streamed,
            **{f"gen_ai.request.{name}": value for name, value in numbers.items()},
        }

    return client_span(f"chat {model}", describe)


def note_answer(made: Span, used: Usage, replica: Replica) -> None:
    """Say what an answer used, and who made it."""
    if not made.lives:
        return
    made.note(
        {
            "gen_ai.response.model": replica.base_model,
            "gen_ai.usage.input_tokens": used.prompt,
            "gen_ai.usage.cache_read.input_tokens": used.cached,
            "gen_ai.usage.output_tokens": used.completion,
            "inkstone.replica": replica.replica,
        }
    )


def note_request(account: Account) -> None:
    """Say on the request's own span what became of it and where its time went."""
    made, target = current_span(), account.target
    if not made.lives:
        return
    release = target.release if target else None
    made.note(
        {
            "inkstone.request_id": account.request_id,
            "inkstone.tenant": account.caller.tenant,
            "inkstone.assistant": release.assistant if release else None,
            "inkstone.release": release.id if release else None,
            "inkstone.arm": target.arm if target else None,
            "inkstone.adapter": target.adapter if target else None,
            "inkstone.outcome": account.outcome,
            "inkstone.passages": account.passages,
            **{f"inkstone.{stage}_ms": 1000 * took for stage, took in account.stages.items()},
        }
    )
    if account.error_code is not None:
        made.fail(account.error_code)
