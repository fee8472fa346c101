"""`POST /v1/chat/completions`: OpenAI's chat endpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from services.chassis.errors import ServiceError
from services.contracts import keys
from services.contracts.chat import ChatRequest
from services.contracts.rollouts import ARM_HEADER
from services.gateway.dependencies import caller_of, resources_of
from services.gateway.identity import require_scope


class _AsgiRoute(APIRoute):
    """A route that stands in the API's description but runs as plain ASGI.

    An answer is written piece by piece to `send`; FastAPI's own way there costs more than all of
    the gateway's work.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.app = answer_chat


router = APIRouter(prefix="/v1/chat", tags=["chat"], route_class=_AsgiRoute)


async def answer_chat(scope: Scope, receive: Receive, send: Send) -> None:
    """Identify the caller and answer."""
    connection = HTTPConnection(scope)
    answering = resources_of(connection).answering
    try:
        caller = require_scope(caller_of(connection), keys.Scope.APP)
    except ServiceError as error:
        answering.turned_away(error)
        raise
    await answering.answer(caller, receive, send, arm=connection.headers.get(ARM_HEADER))


@router.post("/completions")
async def create_chat_completion(request: ChatRequest) -> dict[str, Any]:
    """Answer a conversation, whole or as an event stream.

    `model` names an assistant, an adapter version or the base. The reply is OpenAI's, with
    `citations` and `inkstone` added; in a stream they stand in the last chunk.
    """
    raise NotImplementedError
