"""Server-sent events as they are read from an upstream."""

from __future__ import annotations

from dataclasses import dataclass

from services.chassis.errors import UpstreamFailed

MAX_EVENT_BYTES = 4 * 1024 * 1024
"""One event larger than this is not an answer any more."""

_DONE_PAYLOAD = b"[DONE]"


@dataclass(slots=True)
class EventDecoder:
    """Cuts a byte stream into the data of its events, whatever pieces the bytes come in."""

    max_bytes: int = MAX_EVENT_BYTES
    _pending: bytes = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes and return the data of every event that they complete.

        Raises:
            UpstreamFailed: when an event grows beyond all measure.
        """
        pending = self._pending + data if self._pending else data
        if b"\r" in pending:
            pending = pending.replace(b"\r\n", b"\n")
        *blocks, self._pending = pending.split(b"\n\n")
        if len(self._pending) > self.max_bytes:
            raise UpstreamFailed(
                "The engine sent an event without end; its log has the cause.",
                code="engine_failed",
            )
        return [found for block in blocks if (found := _data_of(block)) is not None]


def is_done(data: bytes) -> bool:
    """Tell whether an event is the end mark."""
    return data == _DONE_PAYLOAD


def _data_of(block: bytes) -> bytes | None:
    """Read an event's data; comments and fields that we do not use give none."""
    if block.startswith(b"data: ") and b"\n" not in block:
        return block[6:]
    lines = [
        line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")
    ]
    return b"\n".join(lines) if lines else None
