"""When an index is worth laying out anew for searching, and the copy that is laid out.

What was written since an index was laid out is searched three to four times as slowly, and deleted
points keep their room. Laying it out takes the engine seconds for each hundred thousand points, so
a copy is laid out beside it; nothing is embedded again.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.retriever.index.port import Index, Wear

SHARE_AT_REST = 0.2
"""The share of changed points that is put up with while nothing is written."""

SHARE_AT_WORK = 1.0
"""The share while writing goes on: an index that grows is copied when it has doubled."""

POINTS_A_PAGE = 64
"""Points that are copied together: a search waits for one page at most, some milliseconds."""


@dataclass(slots=True)
class TuningRule:
    """Says when, by what has changed and whether that still grows."""

    least: int
    """Changed points below which nothing is done; 0 is never."""
    look_seconds: float = 10.0
    """How often to ask."""
    _seen: int = -1
    _given_up_at: int = 0

    def is_due(self, wear: Wear) -> bool:
        """Tell whether to lay out now; ask again from time to time."""
        at_rest, self._seen = wear.changed == self._seen, wear.changed
        if wear.changed < self._given_up_at:
            self._given_up_at = 0
        if not self.least or wear.changed < self._given_up_at + self.least:
            return False
        return wear.changed >= wear.points * (SHARE_AT_REST if at_rest else SHARE_AT_WORK)

    def give_up(self) -> None:
        """Try no more until as much again has changed."""
        self._given_up_at = self._seen


async def copy_points(source: Index, target: Index) -> None:
    """Copy every point.

    A point that is removed from the source meanwhile may be copied all the same.

    Raises:
        IndexUnavailable: one of the two cannot answer.
    """
    after: str | None = None
    while True:
        page, after = await source.points(after, POINTS_A_PAGE)
        if page:
            await target.upsert(page)
        if after is None:
            return
