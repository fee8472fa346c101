"""How many requests may run at once, in all and for one key; there is no queue to hide in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.chassis.errors import Overloaded


class NoPlace(Overloaded):
    """Too many requests are running already."""


class GatewayFull(NoPlace):
    """This process answers as many requests as it may."""

    code = "overloaded"


class KeyFull(NoPlace):
    """One key has as many requests running as it may."""

    code = "key_overloaded"


@dataclass(slots=True)
class Admission:
    """Counts the requests in flight of this process."""

    max_in_flight: int
    """At most so many at once, whoever asks."""
    max_in_flight_per_key: int
    """At most so many at once with one key."""
    in_flight: int = 0
    _by_key: dict[str, int] = field(default_factory=dict)

    @contextlib.contextmanager
    def admit(self, key_id: str) -> Iterator[None]:
        """Hold a place while the body runs.

        Raises:
            GatewayFull: when the process has none left.
            KeyFull: when the key has none left.
        """
        running = self._by_key.get(key_id, 0)
        if self.in_flight >= self.max_in_flight:
            raise GatewayFull(
                f"{self.max_in_flight} requests are running already; try again shortly.",
                retry_after_seconds=1,
            )
        if running >= self.max_in_flight_per_key:
            raise KeyFull(
                f"This key has {running} requests running, which is its limit; "
                "wait for one to finish.",
                retry_after_seconds=1,
            )
        self.in_flight += 1
        self._by_key[key_id] = running + 1
        try:
            yield
        finally:
            self.in_flight -= 1
            if self._by_key[key_id] == 1:
                del self._by_key[key_id]
            else:
                self._by_key[key_id] -= 1
