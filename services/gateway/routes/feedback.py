"""`POST /v1/feedback`: what a reader thought of an answer."""

from __future__ import annotations

from fastapi import APIRouter

from services.contracts.feedback import Feedback, FeedbackWrite
from services.gateway.dependencies import AppCaller, ResourcesDep
from services.gateway.registry import feedback

router = APIRouter(prefix="/v1/feedback", tags=["chat"])


@router.post("", status_code=201)
async def give_feedback(
    resources: ResourcesDep, caller: AppCaller, write: FeedbackWrite
) -> Feedback:
    """Keep a score and a comment with the release and the arm that answered."""
    # The answer's row may still be on its way to the ledger.
    await resources.answering.write_ledger()
    return await feedback.give(resources.registry, caller, write)
