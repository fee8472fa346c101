"""How much a distillation may spend, and when it stops."""

from __future__ import annotations

from dataclasses import dataclass

from services.domain.pricing import Prices


@dataclass(slots=True)
class Budget:
    """Tokens and dollars; what is under way is counted as if it took all that it may."""

    prices: Prices
    tokens: int | None = None
    """Prompt and completion together; None for no bound."""
    usd: float | None = None
    prompt: int = 0
    """Tokens spent so far."""
    cached: int = 0
    """Of these."""
    completion: int = 0
    longest_prompt: int = 0
    """The largest one that was billed; a prompt is set aside as no less."""
    _held_prompt: int = 0
    _held_completion: int = 0

    @property
    def cost(self) -> float:
        """US dollars spent so far."""
        return self.prices.cost(prompt=self.prompt, cached=self.cached, completion=self.completion)

    def hold(self, prompt: int, completion: int) -> bool:
        """Set aside what an answer may take; False where that would be more than is left."""
        held_prompt, held = self._held_prompt + prompt, self._held_completion + completion
        tokens = self.prompt + self.completion + held_prompt + held
        if self.tokens is not None and tokens > self.tokens:
            return False
        if self.usd is not None:
            held_cost = self.prices.cost(prompt=held_prompt, cached=0, completion=held)
            if self.cost + held_cost > self.usd:
                return False
        self._held_prompt, self._held_completion = held_prompt, held
        return True

    def release(self, prompt: int, completion: int) -> None:
        """Give back what was set aside."""
        self._held_prompt -= prompt
        self._held_completion -= completion

    def spend(self, *, prompt: int, cached: int, completion: int) -> None:
        """Count what an answer took."""
        self.longest_prompt = max(self.longest_prompt, prompt)
        self.prompt += prompt
        self.cached += cached
        self.completion += completion
