"""Rollouts over HTTP: from one release to the next, step by step, measured and reversible."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from services.contracts.rollouts import ARM_HEADER
from services.gateway.registry import tables
from tests.fakes.agent import eventually
from tests.fakes.engine import FakeEngine
from tests.fakes.engine_generation import Call
from tests.fakes.engine_replies import EngineRefusal
from tests.service.gateway.chat_stack import ENGINE_KEY, ChatStack, chat_stack
from tests.service.gateway.gateway import gateway_under_test
from tests.service.gateway.rollout_calls import (
    BY_TIME,
    FOREVER,
    ROLLOUTS,
    act,
    arms,
    begin,
    begun,
    comes_to,
    seen,
    serves,
    two_versions,
)

pytestmark = pytest.mark.anyio

LOOK_SECONDS = 0.02


@pytest.fixture
async def stack(tmp_path: Path, database_url: str | None) -> AsyncIterator[ChatStack]:
    settings = {"look_seconds": LOOK_SECONDS}
    async with chat_stack(tmp_path, database_url=database_url, rollouts=settings) as made:
        made.engine.reply = lambda call: str(call.marker)
        yield made


async def test_an_immediate_rollout_promotes_what_every_replica_has_proven(
    stack: ChatStack,
) -> None:
    stack.agents[0].proves_not.add("new")
    _, new = await two_versions(stack)
    id_ = await begun(stack, new)
    await comes_to(stack, id_, "warming")
    # While the candidate is on its way, replicas answer as before.
    assert (await stack.ask()).body["inkstone"]["release"] == "support/1"
    stack.agents[0].proves_not.clear()
    ended = await comes_to(stack, id_, "promoted")
    assert (ended["stable"], ended["candidate"]) == ("support/1", "support/2")
    answer = (await stack.ask()).body
    assert (answer["inkstone"]["release"], answer["inkstone"]["arm"]) == ("support/2", "stable")
    assert answer["choices"][0]["message"]["content"] == "new"


async def test_a_canary_answers_its_share_and_keeps_every_conversation_on_one_arm(
    stack: ChatStack,
) -> None:
    _, new = await two_versions(stack)
    id_ = await begun(stack, new, 30, 100)
    found = await comes_to(stack, id_, "canary")
    assert (found["step"], found["weight"]) == (0, 30)
    first, again = await arms(stack, 120), await arms(stack, 120)
    assert first == again
    # Four standard deviations of 120 callers at 30 percent.
    assert Counter(first)["candidate"] == pytest.approx(36, abs=20)
    rows = await stack.ledger(240)
    assert {(row["arm"], row["release"]) for row in rows} == {
        ("stable", "support/1"),
        ("candidate", "support/2"),
    }
    served = await stack.metric(
        "requests_total", assistant="support", release="support/2", arm="candidate", status="200"
    )
    assert served == 2 * Counter(first)["candidate"]


async def test_steps_follow_each_other_when_enough_answers_are_seen(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    analysis = {"min_samples": 5}
    id_ = await begun(stack, new, 50, 100, hold_seconds=0, analysis=analysis)
    await comes_to(stack, id_, "canary")
    await asyncio.sleep(5 * LOOK_SECONDS)
    assert (await seen(stack, id_))["step"] == 0

    async def asked_until_promoted() -> bool:
        await arms(stack, 10)
        return bool((await seen(stack, id_))["state"] == "promoted")

    await eventually(asked_until_promoted)
    assert await serves(stack) == "support/2"


async def test_a_candidate_that_fails_is_rolled_back_by_itself(stack: ChatStack) -> None:
    def reply(call: Call) -> str:
        if call.marker == "new":
            raise EngineRefusal(500, "InternalServerError", "the adapter broke the engine")
        return str(call.marker)

    _, new = await two_versions(stack)
    stack.engine.reply = reply
    id_ = await begun(stack, new, 50, analysis={"errors": 0.0})
    await comes_to(stack, id_, "canary")
    statuses: Counter[int] = Counter()
    number = 0

    async def found_out() -> bool:
        nonlocal number
        for _ in range(4):
            number += 1
            statuses[(await stack.ask(conversation_id=f"chat {number}")).status] += 1
        return bool((await seen(stack, id_))["state"] == "rolled_back")

    await eventually(found_out)
    await stack.gateway.resources.answering.write_ledger()
    ended = await seen(stack, id_)
    assert "worse at errors" in ended["reason"]
    (errors,) = [check for check in ended["checks"] if check["check"] == "errors"]
    assert errors["worse"]
    assert statuses[200] >= 1
    assert await serves(stack) == "support/1"
    assert (await stack.ask(conversation_id="after")).status == 200
    await stack.gateway.resources.answering.write_ledger()
    assert (await seen(stack, id_))["checks"] == ended["checks"]


async def test_a_candidate_that_readers_dislike_is_rolled_back(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    id_ = await begun(stack, new, 50)
    await comes_to(stack, id_, "canary")
    number = 0

    async def found_out() -> bool:
        nonlocal number
        number += 1
        block = (await stack.ask(conversation_id=f"chat {number}")).body["inkstone"]
        score = 0 if block["arm"] == "candidate" else 1
        given = await stack.gateway.application.post(
            "/v1/feedback", json={"request_id": block["request_id"], "score": score}
        )
        assert (given.status, given.body["arm"]) == (201, block["arm"])
        return bool((await seen(stack, id_))["state"] == "rolled_back")

    await eventually(found_out)
    assert "worse by more than 0.05 at bad feedback" in (await seen(stack, id_))["reason"]


async def test_feedback_is_kept_once_and_only_for_what_the_key_has_asked(stack: ChatStack) -> None:
    await two_versions(stack)
    id_ = (await stack.ask()).body["inkstone"]["request_id"]
    write = {"request_id": id_, "score": 0.2, "comment": "너무 짧아요"}
    app, admin = stack.gateway.application, stack.gateway.admin
    for score in (0.2, 0.9):
        given = await app.post("/v1/feedback", json={**write, "score": score})
        assert (given.status, given.body["release"]) == (201, "support/1")
        assert (given.body["score"], given.body["comment"]) == (score, "너무 짧아요")
    async with stack.gateway.resources.registry.database.read() as connection:
        (kept,) = (await connection.execute(tables.feedback.select())).all()
    assert kept.score == 0.9
    for client, body in ((app, {**write, "request_id": "unknown"}), (admin, write)):
        refused = await client.post("/v1/feedback", json=body)
        assert (refused.status, refused.code) == (404, "request_not_found")
    wrong = await app.post("/v1/feedback", json={**write, "score": 5})
    assert (wrong.status, wrong.body["error"]["param"]) == (400, "score")


async def test_no_answer_fails_or_is_anothers_while_releases_come_and_go(stack: ChatStack) -> None:
    old, new = await two_versions(stack)
    stack.engine.knobs.token_delay_seconds = 0.001
    markers = {old: "old", new: "new"}
    wrong: list[Any] = []
    answers = 0
    over = asyncio.Event()

    async def load(client: int) -> None:
        nonlocal answers
        while not over.is_set():
            reply = await stack.ask(conversation_id=f"{client} {answers}")
            answers += 1
            said = reply.status == 200 and reply.body["choices"][0]["message"]["content"]
            if reply.status != 200 or said != markers[reply.body["inkstone"]["adapter"]]:
                wrong.append(reply)

    async with asyncio.TaskGroup() as group:
        for client in range(4):
            group.create_task(load(client))
        for _ in range(4):
            id_ = await begun(stack, new, 50, hold_seconds=0, **BY_TIME)
            await comes_to(stack, id_, "promoted")
            assert (await act(stack, id_, "rollback")).body["state"] == "rolled_back"
        over.set()
    assert wrong == []
    assert answers > 20


async def test_too_few_answers_make_a_rollout_inconclusive_and_say_what_is_missing(
    stack: ChatStack,
) -> None:
    old, new = await two_versions(stack)
    analysis = {"min_samples": 7, "max_duration_seconds": 0.1}
    id_ = await begun(stack, new, 50, hold_seconds=0, analysis=analysis)
    held = await comes_to(stack, id_, "inconclusive")
    assert "needs 7 more" in held["reason"]
    assert held["weight"] == 50
    asked = time.time()
    assert (await act(stack, id_, "promote")).body["state"] == "promoted"
    assert await serves(stack) == "support/2"
    # Promoted by hand, too, the former adapter is kept for a rollback.
    async with stack.gateway.resources.registry.database.read() as connection:
        wanted = select(tables.adapters.c.wanted_until).where(tables.adapters.c.id == old)
        assert (await connection.scalar(wanted) or 0) > asked + FOREVER


async def test_an_operator_holds_a_rollout_lets_it_go_on_and_ends_it(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    id_ = await begun(stack, new, 100, **BY_TIME)
    await comes_to(stack, id_, "canary")
    paused = await act(stack, id_, "pause", headers={"X-Inkstone-Reason": "%EC%A0%90%EA%B2%80"})
    assert (paused.body["state"], paused.body["reason"]) == ("paused", "점검")
    assert set(await arms(stack, 3)) == {"candidate"}
    assert (await act(stack, id_, "resume")).body["state"] == "canary"
    assert (await act(stack, id_, "abort")).body["state"] == "aborted"
    assert set(await arms(stack, 3)) == {"stable"}
    again = await act(stack, id_, "resume")
    assert (again.status, again.code) == (409, "rollout_state")
    assert "aborted" in again.message


async def test_what_was_promoted_is_taken_back_at_once_and_only_while_it_serves(
    stack: ChatStack,
) -> None:
    old, new = await two_versions(stack)
    id_ = await begun(stack, new)
    await comes_to(stack, id_, "promoted")
    assert old in stack.engine.weights.loaded
    assert (await act(stack, id_, "rollback")).body["state"] == "rolled_back"
    assert (await stack.ask()).body["choices"][0]["message"]["content"] == "old"
    second = await begun(stack, new)
    await comes_to(stack, second, "promoted")
    await stack.bind(adapter=None)
    late = await act(stack, second, "rollback")
    assert (late.status, late.code) == (409, "rollout_outdated")
    assert (await seen(stack, second))["state"] == "promoted"


async def test_binding_an_assistant_ends_its_rollout(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    id_ = await begun(stack, new, 50)
    await comes_to(stack, id_, "canary")
    await stack.bind(adapter=None)
    ended = await seen(stack, id_)
    assert ended["state"] == "superseded"
    assert await serves(stack) == "support/3"


async def test_testers_choose_the_arm_and_their_answers_do_not_count(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    id_ = await begun(stack, new, 50)
    await comes_to(stack, id_, "canary")
    app = stack.gateway.application
    body = {"model": "support", "messages": [{"role": "user", "content": "q"}]}
    for arm in ("stable", "candidate"):
        reply = await app.post("/v1/chat/completions", json=body, headers={ARM_HEADER: arm})
        assert reply.body["inkstone"]["arm"] == arm
    await stack.ledger(2)
    checks = (await seen(stack, id_))["checks"]
    assert {check["candidate"]["trials"] for check in checks} == {0}
    wrong = await app.post("/v1/chat/completions", json=body, headers={ARM_HEADER: "best"})
    assert (wrong.status, wrong.code) == (400, "arm_unknown")


async def test_what_cannot_be_rolled_out_is_refused_and_changes_nothing(stack: ChatStack) -> None:
    old, new = await two_versions(stack)
    refused = {
        "falling": await begin(stack, new, 50, 25),
        "beyond": await begin(stack, new, 50, 101),
        "same": await begin(stack, old, 50),
        "unknown": await begin(stack, "nobody@0123456789ab", 50),
        "nobody": await stack.gateway.admin.post(
            ROLLOUTS.replace("support", "nobody"), json={"bundle": {"adapter": new}}
        ),
    }
    assert {name: (reply.status, reply.code) for name, reply in refused.items()} == {
        "falling": (400, "invalid_request"),
        "beyond": (400, "invalid_request"),
        "same": (409, "nothing_to_roll_out"),
        "unknown": (404, "adapter_not_found"),
        "nobody": (404, "assistant_not_found"),
    }
    assert "rise" in refused["falling"].message
    assert (await stack.gateway.admin.get(ROLLOUTS)).body["data"] == []
    id_ = await begun(stack, new, 50)
    second = await begin(stack, None, 50)
    assert (second.status, second.code) == (409, "rollout_active")
    retired = await stack.gateway.admin.delete(f"/admin/adapters/{new}")
    assert (retired.status, retired.code) == (409, "adapter_in_use")
    stale = await act(stack, id_, "pause", headers={"If-Match": '"99"'})
    assert (stale.status, stale.code) == (409, "rollout_changed")
    foreign = await stack.gateway.neighbour.get(f"{ROLLOUTS}/{id_}")
    assert (foreign.status, foreign.code) == (404, "rollout_not_found")
    by_app = await stack.gateway.application.post(f"{ROLLOUTS}/{id_}/abort")
    assert by_app.status == 403


async def test_metrics_show_where_a_rollout_stands_and_how_it_moved(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    id_ = await begun(stack, new, 30, **BY_TIME)
    canary = await comes_to(stack, id_, "canary")

    async def shows(state: str, weight: float) -> bool:
        await stack.gateway.resources.rollout_metrics.show()
        return (
            await stack.metric("rollout_state", assistant="support", state=state) == 1
            and await stack.metric("rollout_weight", assistant="support") == weight
        )

    await eventually(lambda: shows("canary", 30))
    entered_at = await stack.metric("rollout_entered_timestamp_seconds", assistant="support")
    assert entered_at == canary["entered_at"]
    await act(stack, id_, "pause")
    await eventually(lambda: shows("paused", 30))
    await act(stack, id_, "rollback")
    await eventually(lambda: _is_over(stack))
    moves = {
        event: await stack.metric("rollout_moves_total", event=event)
        for event in ("start", "proven", "pause", "roll_back", "promote")
    }
    assert moves == {"start": 1, "proven": 1, "pause": 1, "roll_back": 1, "promote": 0}


async def test_a_rollout_that_a_binding_or_a_deletion_ends_counts_as_moved(
    stack: ChatStack,
) -> None:
    _, new = await two_versions(stack)
    await comes_to(stack, await begun(stack, new, 30, **BY_TIME), "canary")
    await stack.bind(profile={"system": "다른"})
    assert await stack.metric("rollout_moves_total", event="supersede") == 1
    await comes_to(stack, await begun(stack, new, 30, **BY_TIME), "canary")
    assert (await stack.gateway.admin.delete("/admin/assistants/support")).status == 200
    assert await stack.metric("rollout_moves_total", event="supersede") == 2


async def test_a_move_that_is_refused_counts_for_nothing(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    id_ = await begun(stack, new, 30, **BY_TIME)
    await act(stack, id_, "abort")
    for _ in range(2):
        assert (await act(stack, id_, "promote")).status == 409
    assert await stack.metric("rollout_moves_total", event="promote") == 0
    assert await stack.metric("rollout_moves_total", event="abort") == 1


async def _is_over(stack: ChatStack) -> bool:
    await stack.gateway.resources.rollout_metrics.show()
    paused = await stack.metric("rollout_state", assistant="support", state="paused")
    return paused == 0


async def test_the_same_request_sent_twice_begins_one_rollout(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    body = {
        "bundle": {"adapter": new},
        "steps": [{"weight": 50}],
        "allow_without_evidence": True,
    }
    key = {"Idempotency-Key": "once"}
    first = await stack.gateway.admin.post(ROLLOUTS, json=body, headers=key)
    again = await stack.gateway.admin.post(ROLLOUTS, json=body, headers=key)
    assert (first.status, again.body["id"]) == (201, first.body["id"])
    assert len((await stack.gateway.admin.get(ROLLOUTS)).body["data"]) == 1


async def test_every_move_is_on_record_with_who_when_and_why(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    id_ = await begun(stack, new, 10, hold_seconds=0, **BY_TIME)
    await comes_to(stack, id_, "promoted")
    events = (await stack.gateway.admin.get("/admin/audit")).body["data"]
    moves = [event for event in reversed(events) if event["subject"] == id_]
    assert [move["action"] for move in moves] == [
        "rollout.begun",
        "rollout.start",
        "rollout.proven",
        "rollout.advance",
    ]
    assert [move["actor"] for move in moves[1:]] == ["controller"] * 3
    assert all(move["reason"] for move in moves[1:])


async def test_a_rollout_is_followed_live_until_it_is_over(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    id_ = await begun(stack, new, 10, **BY_TIME)
    gateway = stack.gateway
    url = f"{gateway.base_url}{ROLLOUTS}/{id_}/events"
    key = {"Authorization": f"Bearer {gateway.secrets['admin']}"}
    told: list[str] = []
    async with gateway.session.get(url, headers=key) as reply:
        assert reply.content_type == "text/event-stream"
        async for line in reply.content:
            if line.startswith(b"event: "):
                told.append(line.decode().split()[1])
                if told[-1] == "rollout.proven":
                    await act(stack, id_, "rollback")
            elif line.startswith(b"id: "):
                last = line.decode().split()[1]
    assert told == ["rollout.begun", "rollout.start", "rollout.proven", "rollout.roll_back"]
    async with gateway.session.get(url, headers={**key, "Last-Event-ID": last}) as reply:
        assert await reply.read() == b""
    async with gateway.session.get(url.replace(id_, f"ro_{'0' * 16}"), headers=key) as reply:
        assert reply.status == 404


async def test_a_candidate_that_a_replica_cannot_serve_fails_and_says_why(tmp_path: Path) -> None:
    engine = FakeEngine(api_key=ENGINE_KEY)
    settings = {"warm_timeout_seconds": 0.3, "rollouts": {"look_seconds": LOOK_SECONDS}}
    async with chat_stack(tmp_path, engine, **settings) as stack:
        await stack.bind(adapter=None)
        new = await stack.adapter("new")
        stack.agents[0].proves = False
        id_ = await begun(stack, new, 50)
        failed = await comes_to(stack, id_, "failed")
        assert "not proven in 0.3 s by replica-1" in failed["reason"]
        assert await serves(stack) == "support/1"


async def test_a_rollout_goes_on_after_the_gateway_was_gone_and_two_move_it_once(
    tmp_path: Path,
) -> None:
    slow = {"look_seconds": FOREVER}
    async with chat_stack(tmp_path, rollouts=slow) as stack:
        await stack.bind(description="이전")
        reply = await stack.gateway.admin.post(
            ROLLOUTS,
            json={
                "bundle": {"profile": {"system": "새로"}},
                "steps": [{"weight": w, "hold_seconds": 0} for w in (1, 20, 50, 80)],
                "analysis": None,
            },
        )
        id_ = reply.body["id"]
        # Moved by hand once, as by a controller that is then killed between two moves.
        await stack.gateway.resources.controller.look()
        assert (await seen(stack, id_))["state"] == "warming"
    quick = {"look_seconds": 0.01, "lease_seconds": 0.05}
    async with (
        gateway_under_test(tmp_path, rollouts=quick) as one,
        gateway_under_test(tmp_path, rollouts=quick) as other,
    ):

        async def promoted() -> bool:
            found = await one.admin.get(f"{ROLLOUTS}/{id_}")
            return bool(found.body["state"] == "promoted")

        await eventually(promoted)
        events = (await other.admin.get("/admin/audit")).body["data"]
        moves = [event["action"] for event in reversed(events) if event["subject"] == id_]
    expected = ["begun", "start", "proven", *["advance"] * 4]
    assert moves == [f"rollout.{move}" for move in expected]
