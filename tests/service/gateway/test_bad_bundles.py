"""What cannot be served, or is in use, is refused with a code and the mend; nothing changes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.contracts.adapters import MANIFEST_FILE, AdapterManifest, TrainingRecord
from tests.fakes.adapters import write_adapter
from tests.fakes.agent import eventually
from tests.service.gateway.chat_stack import ChatStack, chat_stack
from tests.service.gateway.gateway import Reply

pytestmark = pytest.mark.anyio

ASSISTANT = "/admin/assistants/support"
IMPOSSIBLE = {"output_schema": {"type": "text"}}


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ChatStack]:
    async with chat_stack(tmp_path, rollouts={"look_seconds": 0.02}) as made:
        yield made


async def refused(stack: ChatStack, bundle: dict[str, Any]) -> list[Reply]:
    """Try a bundle by both ways into service; nothing may change."""
    before = (await stack.gateway.admin.get(ASSISTANT)).body
    steps = [{"weight": 50}]
    replies = [
        await stack.gateway.admin.put(ASSISTANT, json=bundle),
        await stack.gateway.admin.post(
            f"{ASSISTANT}/rollouts", json={"bundle": bundle, "steps": steps}
        ),
    ]
    assert (await stack.gateway.admin.get(ASSISTANT)).body == before
    assert (await stack.gateway.admin.get(f"{ASSISTANT}/rollouts")).body["data"] == []
    assert len((await stack.gateway.admin.get(f"{ASSISTANT}/releases")).body["data"]) == 1
    return replies


async def test_a_schema_that_cannot_be_enforced_is_refused_when_it_is_written(
    stack: ChatStack,
) -> None:
    await stack.bind()
    for reply in await refused(stack, {"profile": IMPOSSIBLE}):
        assert (reply.status, reply.code) == (400, "invalid_profile")
        assert "#/type is 'text'" in reply.message
        assert reply.body["error"]["param"] == "profile.output_schema"
    for reply in await refused(
        stack, {"profile": {"output_schema": {"type": "object"}, "reasoning": "cot"}}
    ):
        assert (reply.status, reply.code) == (400, "invalid_profile")
    assert stack.engine.generations() == []


async def test_an_adapter_of_another_base_is_refused_though_it_was_registered_before(
    stack: ChatStack, tmp_path: Path
) -> None:
    await stack.bind()
    folder = write_adapter(tmp_path / "foreign", "foreign")
    manifest = AdapterManifest(
        name="foreign",
        base_model="base",
        training=TrainingRecord(base_fingerprint=stack.agents[0].report().base_fingerprint),
    )
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json())
    version = (await stack.gateway.register(folder))["id"]
    stack.agents[0].base_fingerprint = "f" * 12
    await eventually(
        lambda: stack.gateway.resources.snapshot.replicas[0].base_fingerprint == "f" * 12
    )
    for reply in await refused(stack, {"adapter": version, "allow_prompt_mismatch": True}):
        assert (reply.status, reply.code) == (409, "base_mismatch")
        assert "replica-1" in reply.message


async def test_a_promoted_candidate_is_not_taken_back_to_a_retired_adapter(
    stack: ChatStack,
) -> None:
    old, new = await stack.adapter("old"), await stack.adapter("new")
    await stack.bind(adapter=old)
    body = {
        "bundle": {"adapter": new},
        "strategy": "immediate",
        "allow_without_evidence": True,
    }
    begun = await stack.gateway.admin.post(f"{ASSISTANT}/rollouts", json=body)
    path = f"{ASSISTANT}/rollouts/{begun.body['id']}"

    async def promoted() -> bool:
        return bool((await stack.gateway.admin.get(path)).body["state"] == "promoted")

    await eventually(promoted)
    assert (await stack.gateway.admin.delete(f"/admin/adapters/{old}")).status == 200
    late = await stack.gateway.admin.post(f"{path}/rollback")
    assert (late.status, late.code) == (409, "rollout_outdated")
    assert "register it again" in late.message
    assert (await stack.gateway.admin.get(path)).body["state"] == "promoted"
    assert (await stack.ask()).body["inkstone"]["adapter"] == new
    await stack.adapter("old")
    assert (await stack.gateway.admin.post(f"{path}/rollback")).status == 200
    assert (await stack.gateway.admin.get(ASSISTANT)).body["stable"]["adapter"] == old


async def test_a_collection_that_an_assistant_looks_into_is_not_deleted(stack: ChatStack) -> None:
    admin = stack.gateway.admin
    for name in ("handbook", "news"):
        document = {"title": "t", "text": "환불은 14일 안에 됩니다."}
        put = await admin.put(f"/v1/collections/{name}/documents/a", json=document)
        assert put.status == 200, put
    await stack.bind(retrieval={"collections": ["handbook"]})
    body = {
        "bundle": {"retrieval": {"collections": ["handbook", "news"]}},
        "steps": [{"weight": 50}],
    }
    rollout = (await admin.post(f"{ASSISTANT}/rollouts", json=body)).body["id"]
    for name in ("handbook", "news"):
        for path in (f"/v1/collections/{name}", f"/v1/vector_stores/{name}"):
            reply = await admin.delete(path)
            assert (reply.status, reply.code) == (409, "collection_in_use"), path
            assert "support" in reply.message
    assert (await admin.post(f"{ASSISTANT}/rollouts/{rollout}/abort")).status == 200
    assert (await admin.delete("/v1/collections/news")).status == 200
    await stack.bind()
    assert (await admin.delete("/v1/collections/handbook")).status == 200


async def test_steps_of_reasoning_are_hidden_unless_the_app_asks_for_them(
    stack: ChatStack,
) -> None:
    await stack.bind(profile={"reasoning": "cot"})
    stack.engine.reply = lambda _: "둘에 둘을 더한다. Final answer: 4"
    hidden = (await stack.ask()).body["choices"][0]["message"]
    assert hidden["content"] == "4"
    assert "더한다" not in json.dumps(hidden, ensure_ascii=False)
    shown = (await stack.ask(include_reasoning=True)).body["choices"][0]["message"]
    assert (shown["content"], shown["reasoning"]) == ("4", "둘에 둘을 더한다.")
    for asked in (False, True):
        async with stack.openai() as client:
            stream = await client.chat.completions.create(
                model="support",
                messages=[{"role": "user", "content": "q"}],
                stream=True,
                extra_body={"include_reasoning": asked},
            )
            deltas = [c.choices[0].delta async for c in stream if c.choices]
        assert "".join(delta.content or "" for delta in deltas) == "4"
        told = [(delta.model_extra or {}).get("reasoning") for delta in deltas]
        assert [text for text in told if text] == (["둘에 둘을 더한다."] if asked else [])
