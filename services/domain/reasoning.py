"""Taking the steps of a model that thinks aloud out of its answer.

A profile that reasons in steps asks for the answer after a marker (`rendering.COT_INSTRUCTION`).
What stands before the marker is the model's own; where no marker comes, everything is the answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FINAL = re.compile(
    r"(?P<opened>\*\*|__|)(?<!['\"`‘“])(?:final answer|최종\s?(?:답변|정답|답))"
    r"(?P<closed>\*\*|__|)\s?[:：]",
    re.IGNORECASE,
)
_LONGEST = 32
"""No marker is longer; so much of what was looked at before is looked at again."""


@dataclass(slots=True)
class ReasoningFilter:
    """Lets only what follows the marker through; the same for any pieces that the text comes in."""

    reasoning: str = ""
    """The steps, once the marker has come."""
    _held: str = ""
    _closing: str | None = None
    """What closes the marker's emphasis; None before the marker."""
    _through: bool = False

    def push(self, text: str) -> str:
        """Take more text and return what belongs to the answer."""
        if self._through:
            return text
        looked_at = max(0, len(self._held) - _LONGEST)
        self._held += text
        if self._closing is None and (marker := _FINAL.search(self._held, looked_at)):
            self.reasoning = self._held[: marker.start()].strip()
            self._closing = "" if marker["closed"] else marker["opened"]
            self._held = self._held[marker.end() :]
        if self._closing is None or len(self._held.lstrip()) < max(1, len(self._closing)):
            return ""
        return self._release()

    def close(self) -> str:
        """Return what was held back when the text ended."""
        return self._release()

    def _release(self) -> str:
        rest, self._held, self._through = self._held, "", True
        return rest if self._closing is None else rest.lstrip().removeprefix(self._closing)
