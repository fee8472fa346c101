"""The content store: texts of tenants that want it, redacted, erasable, and nobody else's."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.gateway.registry import tables
from tests.fakes.agent import eventually
from tests.fakes.retriever import passage
from tests.service.gateway.chat_stack import ChatStack, chat_stack
from tests.service.gateway.gateway import Client, Reply
from tests.service.gateway.rollout_calls import FOREVER, ROLLOUTS, comes_to

pytestmark = pytest.mark.anyio

KEEPING = {"tenants": ["default"], "percent": 100, "flush_seconds": 0.02, "sweep_seconds": 0.02}
SECRET = "제 번호는 010-1234-5678, 메일은 kim@example.com입니다."
PASSAGE = "환불 문의는 refund@example.com, 30일 안에 하세요."
ANSWER = "010-1234-5678 고객님, 30일 안에 하세요 [1]."


@contextlib.asynccontextmanager
async def keeping(
    folder: Path, database_url: str | None, **content: Any
) -> AsyncIterator[ChatStack]:
    """Run a gateway whose assistant answers over one passage."""
    settings: dict[str, Any] = {
        "content": content,
        "rollouts": {"look_seconds": 0.02},
        "shadow": {"look_seconds": 0.01},
    }
    async with chat_stack(folder, database_url=database_url, **settings) as stack:
        stack.gateway.retriever.passages = [passage(PASSAGE)]
        stack.engine.reply = lambda _: ANSWER
        await stack.bind(retrieval={"collections": ["handbook"]})
        yield stack


async def reader(stack: ChatStack, admin: Client | None = None) -> Client:
    """Issue a key that may read what is kept."""
    write = {"name": "judge", "scopes": ["content"]}
    issued = await (admin or stack.gateway.admin).post("/admin/keys", json=write)
    assert issued.status == 201, issued
    await stack.gateway.resources.registry.catch_up()
    return stack.gateway.client(issued.body["secret"])


async def kept(client: Client, number: int, query: str = "") -> list[dict[str, Any]]:
    """Wait until so many requests are kept."""
    page: list[Reply] = []

    async def are_there() -> bool:
        page[:] = [await client.get(f"/admin/content{query}")]
        return page[0].status == 200 and len(page[0].body["data"]) == number

    await eventually(are_there, seconds=60)
    return list(page[0].body["data"])


async def everything_in_the_database(stack: ChatStack) -> str:
    """Read every column of every row of every table."""
    async with stack.gateway.resources.registry.database.read() as connection:
        rows = [
            (await connection.execute(table.select())).all()
            for table in tables.metadata.tables.values()
        ]
    return repr(rows)


async def test_a_question_its_passages_and_its_answer_are_kept_without_what_is_private(
    tmp_path: Path, database_url: str | None
) -> None:
    async with keeping(tmp_path, database_url, **KEEPING) as stack:
        judge = await reader(stack)
        asked = await stack.ask(SECRET, user="kim@example.com")
        assert asked.body["choices"][0]["message"]["content"] == ANSWER
        (item,) = await kept(judge, 1)
        assert item["question"] == "제 번호는 [phone], 메일은 [email]입니다."
        assert item["answer"] == "[phone] 고객님, 30일 안에 하세요 [1]."
        (given,) = item["passages"]
        assert given == {
            "collection": "handbook",
            "document_id": "doc-1",
            "chunk": 0,
            "text": "환불 문의는 [email], 30일 안에 하세요.",
        }
        assert (item["release"], item["arm"]) == ("support/1", "stable")
        assert item["request_id"] == asked.body["inkstone"]["request_id"]
        assert (item["shadow_release"], item["shadow_answer"]) == (None, None)
        found = await everything_in_the_database(stack)
        assert not any(private in found for private in ("010-1234", "kim@", "refund@"))


async def test_what_a_candidate_answers_unseen_is_kept_beside_it(
    tmp_path: Path, database_url: str | None
) -> None:
    async with keeping(tmp_path, database_url, **KEEPING) as stack:
        judge = await reader(stack)
        stack.engine.reply = lambda call: "공손하게 [1]." if "공손" in call.prompt else "대충 [1]."
        body = {
            "bundle": {
                "profile": {"system": "공손하게"},
                "retrieval": {"collections": ["handbook"]},
            },
            "strategy": "shadow_canary",
            "shadow": {"percent": 100, "min_samples": 1000},
            "steps": [{"weight": 100, "hold_seconds": FOREVER}],
        }
        begun = await stack.gateway.admin.post(ROLLOUTS, json=body)
        await comes_to(stack, begun.body["id"], "shadowing")
        await stack.gateway.resources.registry.catch_up()
        await stack.ask("환불되나요?")

        async def is_there() -> bool:
            return (await kept(judge, 1))[0]["shadow_answer"] is not None

        await eventually(is_there, seconds=60)
        (item,) = await kept(judge, 1)
        assert (item["answer"], item["shadow_answer"]) == ("대충 [1].", "공손하게 [1].")
        assert item["shadow_release"] == "support/2"


async def test_nothing_is_kept_where_the_tenant_does_not_want_it(
    tmp_path: Path, database_url: str | None
) -> None:
    texts = ("유일한 질문 문장", "유일한 발췌 문장", "유일한 답변 문장")
    # What should not be there is not to be swept away before it is looked for.
    unswept = {"percent": 100, "sweep_seconds": FOREVER}
    for content in (unswept, {**unswept, "tenants": ["somebody-else"]}):
        folder = tmp_path / str(len(content))
        async with keeping(folder, None, **content) as stack:
            stack.gateway.retriever.passages = [passage(texts[1])]
            stack.engine.reply = lambda _: texts[2]
            assert (await stack.ask(texts[0], user="유일한 사람")).status == 200
            await stack.ledger(1)
            await stack.gateway.resources.answering.content.flush()
            found = await everything_in_the_database(stack)
            assert "유일한" not in found
            assert "support/1" in found
        for file in (folder / "gateway").glob("gateway.sqlite3*"):
            assert "유일한".encode() not in file.read_bytes()


async def test_a_request_or_an_end_user_is_erased_and_nobody_elses(
    tmp_path: Path, database_url: str | None
) -> None:
    async with keeping(tmp_path, database_url, **KEEPING) as stack:
        judge = await reader(stack)
        ids = [
            (await stack.ask(text, user=user)).body["inkstone"]["request_id"]
            for text, user in (("하나", "kim"), ("둘", "kim"), ("셋", "lee"))
        ]
        await kept(judge, 3)
        assert [item["question"] for item in await kept(judge, 1, f"?request_id={ids[0]}")] == [
            "하나"
        ]
        foreign = await reader(stack, stack.gateway.neighbour)
        assert (await foreign.get("/admin/content")).body["data"] == []
        assert (await foreign.delete("/admin/content?end_user=kim")).body["erased"] == 0
        assert (await foreign.delete(f"/admin/content?request_id={ids[0]}")).body["erased"] == 0
        one = await judge.delete(f"/admin/content?request_id={ids[0]}")
        assert (one.status, one.body["erased"]) == (200, 1)
        user = await judge.delete(
            "/admin/content?end_user=kim", headers={"X-Inkstone-Reason": "asked%20for"}
        )
        assert user.body["erased"] == 1
        assert [item["question"] for item in await kept(judge, 1)] == ["셋"]
        found = await everything_in_the_database(stack)
        assert "하나" not in found
        events = (await stack.gateway.admin.get("/admin/audit?limit=2")).body["data"]
        assert [event["action"] for event in events] == ["content.erased"] * 2
        assert (events[0]["reason"], events[0]["detail"]["erased"]) == ("asked for", 1)
        assert "kim" not in str(events)


async def test_what_is_on_its_way_is_erased_too(tmp_path: Path) -> None:
    still = {**KEEPING, "flush_seconds": FOREVER}
    async with keeping(tmp_path, None, **still) as stack:
        judge = await reader(stack)
        id_ = (await stack.ask("질문")).body["inkstone"]["request_id"]
        assert (await judge.delete(f"/admin/content?request_id={id_}")).body["erased"] == 1
        await stack.gateway.resources.answering.content.flush()
        assert await kept(judge, 0) == []


async def test_texts_expire_and_go_when_the_tenant_no_longer_wants_them(
    tmp_path: Path, database_url: str | None
) -> None:
    async with keeping(tmp_path, database_url, **{**KEEPING, "ttl_seconds": 0.001}) as stack:
        await stack.ask("곧 사라질 말")
        await stack.gateway.resources.answering.content.flush()

        async def is_gone() -> bool:
            return "사라질" not in await everything_in_the_database(stack)

        await eventually(is_gone, seconds=60)
    async with keeping(tmp_path, database_url, **KEEPING) as stack:
        judge = await reader(stack)
        await stack.ask("남을 말")
        await kept(judge, 1)
    async with keeping(tmp_path, database_url, sweep_seconds=0.02) as stack:

        async def is_gone_too() -> bool:
            return "남을 말" not in await everything_in_the_database(stack)

        await eventually(is_gone_too, seconds=60)


async def test_content_needs_a_scope_of_its_own_and_a_clear_wish(tmp_path: Path) -> None:
    async with keeping(tmp_path, None, **KEEPING) as stack:
        for client in (stack.gateway.admin, stack.gateway.application):
            for refused in (
                await client.get("/admin/content"),
                await client.delete("/admin/content?request_id=x"),
            ):
                assert refused.status == 403
        judge = await reader(stack)
        for query in ("", "?request_id=a&end_user=b"):
            unclear = await judge.delete(f"/admin/content{query}")
            assert (unclear.status, unclear.code) == (400, "invalid_request")


async def test_texts_beyond_the_bounds_are_cut_or_dropped(tmp_path: Path) -> None:
    bounds = {"max_characters": 200, "queue": 1, "flush_seconds": FOREVER}
    async with keeping(tmp_path, None, **{**KEEPING, **bounds}) as stack:
        judge = await reader(stack)
        # The number stands across the cut.
        await stack.ask("가" * 190 + " 010-1234-5678")
        await stack.ask("둘")
        assert await stack.metric("content_dropped_total") == 1
        await stack.gateway.resources.answering.content.flush()
        (item,) = await kept(judge, 1)
        assert set(item["question"]) == {"가"}
