"""The prompt that an assistant's model would be given for a conversation, without an answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from services.contracts.assistants import AssistantName
from services.contracts.chat import ChatMessage
from services.contracts.knowledge import CollectionName
from services.contracts.wire import Wire


class PromptWrite(Wire):
    """The body of `POST /admin/assistants/{name}/prompt`."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]


class PromptPassage(Wire):
    """A passage of the prompt."""

    n: int
    """Its number in the prompt, from 1."""
    collection: CollectionName
    document_id: str
    title: str
    text: str
    """As it stands in the prompt, the section around it included where the release says so."""


class ComposedPrompt(Wire):
    """What the stable release's model would be given."""

    object: Literal["assistant.prompt"] = "assistant.prompt"
    assistant: AssistantName
    release: str
    """`<assistant>/<number>`."""
    messages: list[dict[str, Any]]
    """Ready for the engine: system text, examples, turns, passages with the question."""
    grounded: bool
    """Whether the release retrieves."""
    passages: list[PromptPassage]
    abstention: str | None = None
    """What is answered without the model, because nothing relevant was found."""
