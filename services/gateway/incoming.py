"""A chat request as it arrives: its bytes, then its shape."""

from __future__ import annotations

from pydantic import ValidationError
from starlette.types import Receive

from services.chassis.errors import InvalidRequest, invalid_request_from
from services.contracts.chat import ChatRequest
from services.gateway.streaming import ClientGone


async def read_body(receive: Receive) -> bytes:
    """Read a request's body, whose size the body limit has bounded.

    Raises:
        ClientGone: when the client leaves before it is complete.
    """
    pieces = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def parse_chat_request(body: bytes, *, max_messages: int) -> ChatRequest:
    """Read the body's JSON.

    Raises:
        InvalidRequest: naming the field at fault.
    """
    try:
        request = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        raise invalid_request_from(error, body) from error
    if len(request.messages) > max_messages:
        raise InvalidRequest(
            f"`messages` holds {len(request.messages)} turns; send the last {max_messages}.",
            code="too_many_messages",
            param="messages",
        )
    return request
