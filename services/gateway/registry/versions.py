"""Optimistic versions: a change is made only to what its author has seen."""

from __future__ import annotations

from typing import Literal

from services.chassis.errors import Conflict

Expected = int | Literal["any"] | None
"""The version that a caller has seen: a number, any that exists, or unsaid."""


def check(what: str, version: int | None, expected: Expected, changed: type[Conflict]) -> None:
    """Refuse a change to a version that the caller has not seen.

    Args:
        what: names the thing, at the beginning of a sentence.
        version: where it is now; None when it does not exist.
        changed: what is raised.

    Raises:
        Conflict: when it is at another version, or does not exist.
    """
    if expected is None or (version is not None and expected in ("any", version)):
        return
    found = "does not exist" if version is None else f"is at version {version}"
    raise changed(
        f"{what} {found}; read it again and send its version as If-Match.", param="If-Match"
    )
