"""What a reader thought of an answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.contracts.wire import Wire


class FeedbackWrite(Wire):
    """The body of `POST /v1/feedback`; sent again for the same request it replaces the first."""

    request_id: Annotated[str, Field(min_length=1, max_length=128)]
    """The reply's `inkstone.request_id`."""
    score: Annotated[float, Field(ge=0, le=1)]
    """From 0, useless, to 1, what was wanted; below 0.5 counts as bad."""
    comment: Annotated[str | None, Field(max_length=2000, pattern=r"^[^\x00]*$")] = None


class Feedback(Wire):
    """Feedback as it is kept, with what answered."""

    object: Literal["feedback"] = "feedback"
    request_id: str
    score: float
    comment: str | None
    assistant: str | None
    release: str | None
    arm: Literal["stable", "candidate", "shadow"]
    created_at: int
