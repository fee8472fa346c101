"""What an answer costs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars per million tokens; zero for hardware that is already paid for."""

    prompt: float = 0.0
    cached: float = 0.0
    completion: float = 0.0

    def cost(self, *, prompt: int, cached: int, completion: int) -> float:
        """Price one answer in US dollars; `cached` tokens are part of `prompt`."""
        uncached = prompt - cached
        total = uncached * self.prompt + cached * self.cached + completion * self.completion
        return total / 1_000_000
