"""Progress of a training run as JSON lines, for the process that started it."""

from __future__ import annotations

import json
from typing import Any, TextIO


class ProgressLines:
    """Writes one JSON object a line and flushes it at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, event: str, **fields: Any) -> None:
        """Write one event."""
        self._stream.write(json.dumps({"event": event, **fields}, ensure_ascii=False) + "\n")
        self._stream.flush()
