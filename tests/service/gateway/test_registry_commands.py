"""`inkstone adapters|profiles|assistants|releases|replicas` against a gateway."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.service.gateway.chat_stack import ChatStack, chat_stack
from tests.service.gateway.command import run

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ChatStack]:
    async with chat_stack(tmp_path) as made:
        old = await made.adapter("old")
        await made.bind(adapter=old, profile={"system": "예의 바르게."})
        await made.bind(profile={"system": "짧게."}, retrieval={"collections": ["handbook"]})
        yield made


async def test_profiles_are_listed_shown_and_compared(stack: ChatStack, tmp_path: Path) -> None:
    page = (await stack.gateway.admin.get("/admin/profiles")).body["data"]
    ids = {one["profile"]["system"]: one["id"] for one in page}
    listed = await run(stack, "profiles", "list")
    assert all(text in listed and id_ in listed for text, id_ in ids.items())
    shown = await run(stack, "profiles", "show", ids["짧게."])
    assert json.loads(shown) == {"system": "짧게."}
    told = await run(stack, "profiles", "diff", ids["예의 바르게."], ids["짧게."])
    assert '-  "system": "예의 바르게."' in told
    assert '+  "system": "짧게."' in told
    same = tmp_path / "same.json"
    same.write_text(shown, encoding="utf-8")
    assert "are the same" in await run(stack, "profiles", "diff", str(same), ids["짧게."])
    refused = await run(stack, "profiles", "show", "nowhere.json", code=1)
    assert "no profile's id" in refused


async def test_a_profile_is_bound_again_by_its_id(stack: ChatStack) -> None:
    releases = (await stack.gateway.admin.get("/admin/assistants/support/releases")).body["data"]
    first = releases[-1]["profile_hash"]
    assert "support/3" in await run(stack, "assistants", "set", "support", "--profile", first)
    said = await run(
        stack,
        "rollouts",
        "begin",
        "support",
        "--profile",
        first,
        "--no-watch",
        "--collection",
        "handbook",
    )
    assert "brings support/4" in said
    made = (await stack.gateway.admin.get("/admin/assistants/support/releases/4")).body
    assert made["profile_hash"] == first


async def test_releases_are_listed_shown_and_compared(stack: ChatStack) -> None:
    listed = await run(stack, "releases", "list", "support")
    assert "support/1" in listed
    assert "support/2" in listed
    shown = await run(stack, "releases", "show", "support/2")
    assert "짧게." in shown
    assert "handbook" in shown
    told = await run(stack, "releases", "diff", "support/1", "support/2")
    assert '-  "adapter": "old@' in told
    assert '+  "adapter": null' in told
    assert "<assistant>/<number>" in await run(stack, "releases", "show", "support", code=1)


async def test_assistants_and_adapters_are_shown_and_taken_out_of_service(
    stack: ChatStack,
) -> None:
    version = (await stack.gateway.admin.get("/admin/adapters")).body["data"][0]["id"]
    shown = await run(stack, "adapters", "show", version)
    assert "replica-1" in shown
    assert "registered" in shown
    assert version in await run(stack, "adapters", "list")
    assert "is retired" in await run(stack, "adapters", "retire", version)
    assert "support/2" in await run(stack, "assistants", "show", "support")
    assert "support/2" in await run(stack, "assistants", "list")
    assert "out of service" in await run(stack, "assistants", "delete", "support")
    assert (await stack.ask()).status == 404


async def test_replicas_are_listed_with_what_they_hold(stack: ChatStack) -> None:
    listed = await run(stack, "replicas", "list")
    assert "replica-1" in listed
    assert "ready" in listed
    assert "old@" in listed
    assert "proven" in listed
