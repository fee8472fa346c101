"""What the content store keeps of answered requests, where a tenant wants it."""

from __future__ import annotations

from typing import Literal

from services.contracts.assistants import AssistantName
from services.contracts.wire import Wire


class KeptPassage(Wire):
    """A passage that an answer could rest on."""

    collection: str
    document_id: str
    chunk: int
    text: str


class KeptContent(Wire):
    """The texts of one request; what is private by its form is taken out."""

    id: str
    object: Literal["content"] = "content"
    request_id: str
    assistant: AssistantName
    at: float
    """When the request came, in seconds since the epoch."""
    expires_at: float
    """When it is erased."""
    question: str
    """The last user turn."""
    passages: list[KeptPassage]
    release: str
    arm: Literal["stable", "candidate"]
    answer: str
    shadow_release: str | None
    """The candidate that answered a copy unseen, if one did."""
    shadow_answer: str | None


class ContentPage(Wire):
    """What is kept, newest first."""

    object: Literal["list"] = "list"
    data: list[KeptContent]
    has_more: bool


class ContentErased(Wire):
    """The answer to `DELETE /admin/content`."""

    object: Literal["content.erased"] = "content.erased"
    erased: int
    """How many requests were kept and are no longer."""
