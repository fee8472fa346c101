"""What an operator and an app do while a rollout goes."""

from __future__ import annotations

from typing import Any

from tests.fakes.agent import eventually
from tests.service.gateway.chat_stack import ChatStack
from tests.service.gateway.gateway import Reply

ROLLOUTS = "/admin/assistants/support/rollouts"
FOREVER = 3600
BY_TIME: dict[str, Any] = {"analysis": None}


async def begin(stack: ChatStack, adapter: str | None, *weights: float, **fields: Any) -> Reply:
    hold = fields.pop("hold_seconds", FOREVER)
    body = {
        "bundle": {"adapter": adapter},
        "strategy": "canary" if weights else "immediate",
        "steps": [{"weight": weight, "hold_seconds": hold} for weight in weights],
        "allow_without_evidence": "gate" not in fields,
        **fields,
    }
    return await stack.gateway.admin.post(ROLLOUTS, json=body)


async def begun(stack: ChatStack, *arguments: Any, **fields: Any) -> str:
    reply = await begin(stack, *arguments, **fields)
    assert reply.status == 201, reply
    return str(reply.body["id"])


async def seen(stack: ChatStack, id_: str) -> dict[str, Any]:
    reply = await stack.gateway.admin.get(f"{ROLLOUTS}/{id_}")
    assert reply.status == 200, reply
    return dict(reply.body)


async def comes_to(stack: ChatStack, id_: str, state: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def is_there() -> bool:
        found.update(await seen(stack, id_))
        return bool(found["state"] == state)

    await eventually(is_there, seconds=60)
    return found


async def act(stack: ChatStack, id_: str, action: str, **options: Any) -> Reply:
    return await stack.gateway.admin.post(f"{ROLLOUTS}/{id_}/{action}", **options)


async def arms(stack: ChatStack, conversations: int) -> list[str]:
    replies = [await stack.ask(conversation_id=f"chat {n}") for n in range(conversations)]
    assert {reply.status for reply in replies} == {200}
    return [reply.body["inkstone"]["arm"] for reply in replies]


async def serves(stack: ChatStack) -> str:
    return str((await stack.gateway.admin.get("/admin/assistants/support")).body["stable"]["id"])


async def two_versions(stack: ChatStack) -> tuple[str, str]:
    old, new = await stack.adapter("old"), await stack.adapter("new")
    await stack.bind(adapter=old)
    return old, new
