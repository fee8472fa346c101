"""Proof that a loaded adapter takes part in answers.

vLLM can accept an adapter and serve the base's weights under its name without a word. So a few
questions are put to both, and the log-probabilities of the first token are compared. One token is
generated on each question, which proves as well that the version answers at all.

Log-probabilities of the prompt would tell more, but asking for them while another request runs
ends vLLM 0.32 when LoRA is on.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.domain.isolation import cache_salt
from services.generator.engine import Engine, Logprobs

QUESTIONS = (
    "Passages:\n[1] Delivery\nOrders leave the same day.\n\nQuestion: When do orders leave?",
    "Passages:\n[1] 배송 안내\n당일 출고됩니다.\n\nQuestion: 언제 출고되나요?",
    "Who are you?",
    "안녕하세요",
)
"""In the shape that assistants ask in, and without it; in both languages."""


class Canary:
    """Compares adapters with one engine's base, which is asked once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._base: list[Logprobs] = []

    async def shift(self, adapter: str) -> float:
        """Measure how far an adapter moves the first token's log-probabilities, on average."""
        if not self._base:
            self._base = await self._ask(self._engine.base_model)
        return mean_shift(self._base, await self._ask(adapter))

    async def _ask(self, model: str) -> list[Logprobs]:
        salt = cache_salt("canary", model)
        return [await self._engine.first_token(model, text, salt) for text in QUESTIONS]


def mean_shift(base: Sequence[Logprobs], adapted: Sequence[Logprobs]) -> float:
    """Average the absolute differences over the tokens that either side names.

    A token that one side does not name counts there as its least likely named one, so the figure
    is a lower bound.
    """
    differences = [
        abs(ours.get(token, min(ours.values())) - theirs.get(token, min(theirs.values())))
        for ours, theirs in zip(base, adapted, strict=True)
        for token in ours.keys() | theirs.keys()
    ]
    return sum(differences) / len(differences)
