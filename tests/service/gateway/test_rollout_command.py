"""`inkstone rollouts` against a gateway over a fake engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.agent import eventually
from tests.service.gateway import command
from tests.service.gateway.chat_stack import ChatStack, chat_stack

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ChatStack]:
    async with chat_stack(tmp_path, rollouts={"look_seconds": 0.02}) as made:
        await made.bind(adapter=await made.adapter("old"), profile={"system": "예의 바르게."})
        yield made


async def run(stack: ChatStack, *arguments: str) -> str:
    return await command.run(stack, "rollouts", *arguments)


async def test_a_new_adapter_is_brought_in_with_all_else_as_it_was(stack: ChatStack) -> None:
    new = await stack.adapter("new")
    said = await run(
        stack,
        *("begin", "support", "--adapter", new, "--without-evidence"),
        *("--weight", "50", "--hold", "0", "--by-time"),
    )
    assert "brings support/2" in said
    told = [line.split()[1:4] for line in said.splitlines()[1:]]
    assert [words[0] for words in told] == ["begun", "start", "proven", "advance"]
    assert told[2][1:] == ["canary", "50"]
    stable = (await stack.gateway.admin.get("/admin/assistants/support")).body["stable"]
    assert (stable["adapter"], stable["profile"]["system"]) == (new, "예의 바르게.")


async def test_a_rollout_is_looked_at_held_and_ended(stack: ChatStack) -> None:
    said = await run(stack, "begin", "support", "--adapter", "none", "--no-watch")
    id_ = said.split()[0]
    assert "paused" in await run(stack, "pause", "support", id_, "--reason", "점검")
    shown = await run(stack, "list", "support")
    assert id_ in shown
    assert "점검" in shown
    assert "support/1 -> support/2" in await run(stack, "show", "support", id_)
    assert "aborted" in await run(stack, "abort", "support", id_)
    assert "abort" in await run(stack, "watch", "support", id_)


async def test_a_candidate_may_answer_unseen_first(stack: ChatStack) -> None:
    said = await run(stack, "begin", "support", "--adapter", "none", "--shadow", "25", "--no-watch")
    path = f"/admin/assistants/support/rollouts/{said.split()[0]}"
    begun = (await stack.gateway.admin.get(path)).body
    assert (begun["strategy"], begun["shadow"]["percent"]) == ("shadow_canary", 25)


async def test_a_terminal_shows_below_the_moves_where_the_rollout_stands(stack: ChatStack) -> None:
    begun = await run(
        stack, "begin", "support", "--adapter", "none", "--weight", "35", "--no-watch"
    )
    id_ = begun.split()[0]
    path = f"/admin/assistants/support/rollouts/{id_}"

    async def rolled_back_once_it_serves() -> None:
        await eventually(lambda: stack.gateway.resources.snapshot.canaries)
        assert (await stack.gateway.admin.post(f"{path}/rollback")).status == 200

    command_line = ("rollouts", "watch", "support", id_)
    written, _ = await asyncio.gather(
        command.run_on_a_terminal(stack, *command_line), rolled_back_once_it_serves()
    )
    moves, _, standing = written.rpartition("rolled back")
    assert "canary 35 %" in moves
    assert "invalid citations" in standing


async def test_a_threshold_that_cannot_be_read_is_refused_before_anything_begins(
    stack: ChatStack,
) -> None:
    said = await command.run(
        stack, "rollouts", "begin", "support", "--adapter", "none", "--query", "p95<2", code=2
    )
    assert "name<=number" in said
    assert (await stack.gateway.admin.get("/admin/assistants/support/rollouts")).body["data"] == []


async def test_costs_are_compared_where_it_is_said_what_is_costly(stack: ChatStack) -> None:
    asked = ("begin", "support", "--adapter", "none", "--costly-after", "0.01", "--no-watch")
    said = await run(stack, *asked)
    path = f"/admin/assistants/support/rollouts/{said.split()[0]}"
    analysis = (await stack.gateway.admin.get(path)).body["analysis"]
    assert (analysis["costly_answers"], analysis["costly_after_usd"]) == (0.05, 0.01)


async def test_margins_of_checks_are_chosen_by_their_names(stack: ChatStack) -> None:
    checks = ("--check", "abstentions=0.2", "--check", "unsupported-answers=off")
    said = await run(stack, "begin", "support", "--adapter", "none", *checks, "--no-watch")
    path = f"/admin/assistants/support/rollouts/{said.split()[0]}"
    analysis = (await stack.gateway.admin.get(path)).body["analysis"]
    assert (analysis["abstentions"], analysis["unsupported_answers"]) == (0.2, None)
    assert analysis["uncited_answers"] == 0.05


@pytest.mark.parametrize(
    "check",
    ["abstention=0.1", "abstentions", "abstentions=5", "abstentions=-1", "costly_answers=1"],
)
async def test_a_check_that_cannot_be_read_is_refused_before_anything_begins(
    stack: ChatStack, check: str
) -> None:
    asked = ("begin", "support", "--adapter", "none", "--check", check)
    said = await command.run(stack, "rollouts", *asked, code=2)
    assert "--costly-after" in said if check.startswith("costly") else "unsupported_answers" in said
    assert (await stack.gateway.admin.get("/admin/assistants/support/rollouts")).body["data"] == []
