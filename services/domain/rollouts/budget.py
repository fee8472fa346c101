"""A budget of tokens for any hour, not for hours of the clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

_BIN_SECONDS = 60.0
_BINS = 60


@dataclass(slots=True)
class HourlyBudget:
    """Remembers by the minute what was spent in the last hour."""

    tokens: int
    """What may be spent in an hour."""
    _spent: deque[tuple[int, int]] = field(default_factory=deque)
    """Minutes, oldest first, and what was spent in each."""

    def left(self, now: float) -> int:
        """Say how many tokens are left, 0 or fewer when none are.

        Args:
            now: seconds since any fixed moment.
        """
        while self._spent and self._spent[0][0] < int(now // _BIN_SECONDS) - _BINS:
            self._spent.popleft()
        return self.tokens - sum(tokens for _, tokens in self._spent)

    def spend(self, tokens: int, now: float) -> None:
        """Note what was spent; a budget can be overdrawn by what was under way."""
        minute = int(now // _BIN_SECONDS)
        if self._spent and self._spent[-1][0] == minute:
            tokens += self._spent.pop()[1]
        self._spent.append((minute, tokens))
