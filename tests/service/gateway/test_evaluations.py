"""Evaluations that the gateway makes: two releases, the same cases and passages, a verdict."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.gateway.registry import tables
from tests.fakes.agent import eventually
from tests.fakes.engine_generation import Call
from tests.fakes.retriever import passage
from tests.service.gateway.chat_stack import ChatStack, chat_stack
from tests.service.gateway.gateway import Client, Reply
from tests.service.gateway.rollout_calls import (
    FOREVER,
    act,
    begin,
    begun,
    comes_to,
    seen,
    serves,
    two_versions,
)

pytestmark = pytest.mark.anyio

SETTINGS: dict[str, Any] = {
    "rollouts": {"look_seconds": 0.02},
    "evaluations": {"look_seconds": 0.02},
}
EVALUATIONS = "/admin/evaluations"
PATIENCE = 60.0


@pytest.fixture
async def stack(tmp_path: Path, database_url: str | None) -> AsyncIterator[ChatStack]:
    async with chat_stack(tmp_path, database_url=database_url, **SETTINGS) as made:
        made.engine.reply = lambda call: str(call.marker)
        yield made


def case(name: str, *, expected: str = "new", guard: bool = False) -> dict[str, Any]:
    return {
        "id": name,
        "question": f"질문 {name}?",
        "expected": expected,
        "tags": ["guard", "ko"] if guard else ["ko"],
    }


def better(count: int = 30) -> list[dict[str, Any]]:
    """Cases that the new adapter passes and the old one does not."""
    return [case(str(n)) for n in range(count)]


async def put(client: Client, cases: list[dict[str, Any]], name: str = "golden") -> Reply:
    lines = "\n".join(json.dumps(one, ensure_ascii=False) for one in cases)
    return await client.put(f"/admin/evaluation-sets/{name}", data=lines.encode())


async def evaluate(stack: ChatStack, **fields: Any) -> Reply:
    body = {"cases": "golden", "assistant": "support", **fields}
    return await stack.gateway.admin.post(EVALUATIONS, json=body)


async def over(stack: ChatStack, id_: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def is_over() -> bool:
        reply = await stack.gateway.admin.get(f"{EVALUATIONS}/{id_}")
        found.update(reply.body)
        return bool(found["state"] != "running")

    await eventually(is_over, seconds=PATIENCE)
    return found


async def evaluated(stack: ChatStack, **fields: Any) -> dict[str, Any]:
    reply = await evaluate(stack, **fields)
    assert reply.status == 201, reply
    assert reply.body["state"] == "running"
    return await over(stack, reply.body["id"])


async def test_a_set_is_kept_whole_and_named_by_its_content(stack: ChatStack) -> None:
    admin = stack.gateway.admin
    first = await put(admin, [*better(3), case("g", guard=True)])
    assert (first.status, first.body["cases"], first.body["guards"]) == (200, 4, 1)
    assert (await put(admin, [case("g", guard=True), *better(3)])).body == first.body
    second = await put(admin, better(2))
    assert second.body["dataset_hash"] != first.body["dataset_hash"]
    listed = (await admin.get("/admin/evaluation-sets")).body["data"]
    assert [(one["id"], one["cases"]) for one in listed] == [("golden", 2)]
    assert (await admin.get("/admin/evaluation-sets/golden")).body == second.body
    assert (await admin.delete("/admin/evaluation-sets/golden")).status == 200
    gone = await admin.get("/admin/evaluation-sets/golden")
    assert (gone.status, gone.code) == (404, "evaluation_set_not_found")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "no cases"),
        (b'{"id": "1", "question": "?", "expected": "x"}\n{"id": ', "line 2"),
        (b'{"id": "1", "question": "?"}', "nothing can be checked"),
        ("질문".encode("cp949"), "UTF-8"),
    ],
)
async def test_a_set_with_a_broken_line_is_refused_and_changes_nothing(
    stack: ChatStack, body: bytes, told: str
) -> None:
    kept = await put(stack.gateway.admin, better(2))
    refused = await stack.gateway.admin.put("/admin/evaluation-sets/golden", data=body)
    assert (refused.status, refused.code) == (400, "evaluation_cases_invalid")
    assert told in refused.message
    assert (await stack.gateway.admin.get("/admin/evaluation-sets/golden")).body == kept.body


async def test_a_candidate_that_is_better_is_adopted_and_its_release_says_so(
    stack: ChatStack,
) -> None:
    _, new = await two_versions(stack)
    await put(stack.gateway.admin, better())
    done = await evaluated(stack, bundle={"adapter": new})
    assert (done["state"], done["verdict"], done["adapter"]) == ("done", "adopt", new)
    assert (done["baseline"], done["candidate"]) == ("support/1", "support/2")
    assert (done["answered"], done["total"]) == (30, 30)
    report = done["report"]
    assert report["comparison"]["main"]["gained"] == 30
    assert report["candidate"]["pass_rate"]["value"] == 1.0
    assert report["baseline"]["by_tag"]["ko"]["value"] == 0.0
    releases = (await stack.gateway.admin.get("/admin/assistants/support/releases")).body["data"]
    assert {one["number"]: one["evidence"] for one in releases} == {1: "waived", 2: "evaluated"}
    # Nobody was served the candidate, and callers' figures do not hold its answers.
    assert await serves(stack) == "support/1"
    rows = await stack.ledger(60)
    assert {(row["arm"], row["overridden"]) for row in rows} == {("shadow", True)}


async def test_an_adapter_with_an_adopting_report_needs_no_gate(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    refused = await begin(stack, new, 50, allow_without_evidence=False)
    assert (refused.status, refused.code) == (409, "evaluation_missing")
    assert "gate" in refused.message
    await put(stack.gateway.admin, better())
    await evaluated(stack, bundle={"adapter": new})
    id_ = await begun(stack, new, 100, hold_seconds=0, allow_without_evidence=False, analysis=None)
    ended = await comes_to(stack, id_, "promoted")
    assistant = (await stack.gateway.admin.get("/admin/assistants/support")).body
    assert (ended["candidate"], assistant["stable"]["evidence"]) == ("support/3", "evaluated")


async def test_a_later_report_that_rejects_an_adapter_takes_its_evidence_away(
    stack: ChatStack,
) -> None:
    _, new = await two_versions(stack)
    await put(stack.gateway.admin, better())
    await evaluated(stack, bundle={"adapter": new})
    kept = [case(f"kept-{n}", expected="old", guard=True) for n in range(10)]
    await put(stack.gateway.admin, [*better(), *kept])
    done = await evaluated(stack, bundle={"adapter": new})
    assert done["verdict"] == "reject", "it forgets what it should keep"
    refused = await begin(stack, new, 50, allow_without_evidence=False)
    assert refused.code == "evaluation_missing"


async def test_a_report_under_another_prompt_is_no_evidence(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    await put(stack.gateway.admin, better())
    await evaluated(stack, bundle={"adapter": new})
    other = {"adapter": new, "profile": {"system": "짧게 답하세요."}}
    refused = await begin(stack, new, 50, bundle=other, allow_without_evidence=False)
    assert refused.code == "evaluation_missing"


async def test_going_without_evidence_is_said_in_the_audit_log(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    await begun(stack, new, 50, allow_without_evidence=True)
    events = (await stack.gateway.admin.get("/admin/audit")).body["data"]
    event = next(one for one in events if one["action"] == "rollout.begun")
    assert event["detail"]["allow_without_evidence"] is True


async def test_a_change_of_the_prompt_alone_needs_no_evidence(stack: ChatStack) -> None:
    old, _ = await two_versions(stack)
    bundle = {"adapter": old, "profile": {"system": "Be brief."}}
    reply = await begin(stack, old, 50, bundle=bundle, allow_without_evidence=False)
    assert reply.status == 201


async def test_a_gate_lets_a_better_candidate_through(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    await put(stack.gateway.admin, better())
    id_ = await begun(stack, new, gate={"cases": "golden"})
    ended = await comes_to(stack, id_, "promoted")
    assert ended["gate"]["cases"] == "golden"
    listed = (await stack.gateway.admin.get(EVALUATIONS)).body["data"]
    assert [(one["rollout"], one["verdict"]) for one in listed] == [(id_, "adopt")]
    assistant = (await stack.gateway.admin.get("/admin/assistants/support")).body
    assert assistant["stable"]["evidence"] == "evaluated"


async def test_a_gate_stops_a_worse_candidate_and_says_why(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    await put(stack.gateway.admin, [case(str(n), expected="old") for n in range(30)])
    id_ = await begun(stack, new, 50, gate={"cases": "golden"})
    failed = await comes_to(stack, id_, "failed")
    assert "worse" in failed["reason"]
    assert "0 cases gained and 30 lost" in failed["reason"]
    assert await serves(stack) == "support/1"


async def test_a_gate_with_too_few_cases_holds_and_says_how_many_more(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    await put(stack.gateway.admin, better(5))
    id_ = await begun(stack, new, 50, gate={"cases": "golden"})
    held = await comes_to(stack, id_, "inconclusive")
    assert "about 15 more cases are needed" in held["reason"]
    # With more cases, the rollout goes on where it was held.
    await put(stack.gateway.admin, better(30))
    assert (await act(stack, id_, "resume")).body["state"] == "gating"
    await comes_to(stack, id_, "canary")


async def test_a_better_candidate_that_forgets_something_is_stopped(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    guards = [case(f"g{n}", expected="old", guard=True) for n in range(30)]
    await put(stack.gateway.admin, [*better(), *guards])
    id_ = await begun(stack, new, 50, gate={"cases": "golden"})
    failed = await comes_to(stack, id_, "failed")
    assert "guard" in failed["reason"]


async def test_a_gate_without_its_set_is_refused(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    refused = await begin(stack, new, 50, gate={"cases": "nowhere"})
    assert (refused.status, refused.code) == (404, "evaluation_set_not_found")


async def test_a_rollout_that_is_aborted_at_its_gate_ends_its_evaluation(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    await put(stack.gateway.admin, better())
    with stack.engine.holding():
        id_ = await begun(stack, new, 50, gate={"cases": "golden"})
        await comes_to(stack, id_, "gating")
        await eventually(lambda: stack.engine.in_flight > 0)
        await act(stack, id_, "abort")
    (listed,) = (await stack.gateway.admin.get(EVALUATIONS)).body["data"]
    ended = await over(stack, listed["id"])
    assert (ended["state"], ended["verdict"]) == ("failed", None)


async def test_both_arms_get_the_same_passages(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    retrieval = {"collections": ["handbook"]}
    old = (await stack.gateway.admin.get("/admin/assistants/support")).body["stable"]["adapter"]
    await stack.bind(adapter=old, retrieval=retrieval)
    stack.gateway.retriever.passages = [passage("환불은 14일 안에 됩니다.", document_id="refunds")]
    stack.engine.reply = lambda call: (
        "환불은 14일 안에 됩니다 [1]." if call.marker == "new" else "몰라요."
    )
    checks = [
        {"kind": "contains", "any_of": ["14일"]},
        {"kind": "cites", "any_of": ["refunds"]},
        {"kind": "citation_recall"},
    ]
    cases = [{"id": str(n), "question": f"환불 {n}?", "checks": checks} for n in range(20)]
    await put(stack.gateway.admin, cases)
    done = await evaluated(stack, bundle={"adapter": new, "retrieval": retrieval})
    assert done["verdict"] == "adopt"
    assert len(stack.gateway.retriever.searches) == 20
    assert done["report"]["candidate"]["lexical"] == ["citation_recall"]
    # Another policy is what is tried, so each arm has its own passages.
    other = {"collections": ["handbook"], "top_k": 7}
    await evaluated(stack, bundle={"adapter": new, "retrieval": other})
    assert {search.top_k for search in stack.gateway.retriever.searches[20:]} == {3, 7}


async def test_a_question_that_the_documents_do_not_answer_is_judged_as_such(
    stack: ChatStack,
) -> None:
    old, new = await two_versions(stack)
    retrieval = {"collections": ["handbook"]}
    await stack.bind(adapter=old)
    cases = [{"id": str(n), "question": f"우주 {n}?", "answerable": False} for n in range(20)]
    await put(stack.gateway.admin, cases)
    done = await evaluated(stack, bundle={"adapter": new, "retrieval": retrieval})
    assert done["report"]["comparison"]["gained"] == [str(n) for n in range(20)]


async def test_answers_are_shown_with_what_each_check_said(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    await put(stack.gateway.admin, better(3))
    done = await evaluated(stack, bundle={"adapter": new}, repeats=2)
    path = f"{EVALUATIONS}/{done['id']}/answers"
    page = (await stack.gateway.admin.get(f"{path}?limit=4")).body
    assert [one["id"] for one in page["data"]] == ["0#0", "0#1", "1#0", "1#1"]
    assert page["has_more"]
    first = page["data"][0]
    assert (first["baseline"]["text"], first["candidate"]["text"]) == ("old", "new")
    assert first["baseline"]["checks"][0]["check"] == "contains"
    rest = (await stack.gateway.admin.get(f"{path}?after=1%231")).body
    assert [one["id"] for one in rest["data"]] == ["2#0", "2#1"]


async def test_an_answer_that_fails_is_a_case_not_passed(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    await put(stack.gateway.admin, better(20))
    stack.engine.reply = _refuse_new
    done = await evaluated(stack, bundle={"adapter": new})
    assert done["report"]["candidate"]["errors"] == 20
    assert done["report"]["candidate"]["pass_rate"]["value"] == 0.0


def _refuse_new(call: Call) -> str:
    from tests.fakes.engine_replies import EngineRefusal

    if call.marker == "new":
        raise EngineRefusal(400, "BadRequestError", "it cannot")
    return "old"


async def test_an_engine_that_is_away_is_waited_for(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    await put(stack.gateway.admin, better(20))
    stack.engine.knobs.overloaded = True
    reply = await evaluate(stack, bundle={"adapter": new})
    await eventually(lambda: len(stack.engine.generations()) > 3, seconds=PATIENCE)
    found = (await stack.gateway.admin.get(f"{EVALUATIONS}/{reply.body['id']}")).body
    assert (found["state"], found["answered"]) == ("running", 0)
    stack.engine.knobs.overloaded = False
    done = await over(stack, reply.body["id"])
    assert (done["verdict"], done["report"]["candidate"]["errors"]) == ("adopt", 0)


async def test_a_second_gateway_asks_only_the_cases_that_are_missing(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    await put(stack.gateway.admin, better(20))
    with stack.engine.holding():
        id_ = (await evaluate(stack, bundle={"adapter": new})).body["id"]
        await eventually(lambda: stack.engine.in_flight > 0)
        row = {"case": "5", "passed": True, "text": "kept"}
        async with stack.gateway.resources.registry.database.write() as connection:
            values = {"tenant": "default", "evaluation": id_, "case_id": "5", "repeat": 0}
            answers = {"baseline": {**row, "passed": False}, "candidate": row}
            await connection.execute(tables.evaluation_answers.insert().values(values | answers))
    await over(stack, id_)
    page = (await stack.gateway.admin.get(f"{EVALUATIONS}/{id_}/answers")).body["data"]
    assert len(page) == 20
    assert next(one for one in page if one["id"] == "5#0")["candidate"]["text"] == "kept"
    assert not [call for call in stack.engine.generations() if "질문 5?" in str(call.body)]


async def test_an_evaluation_can_be_cancelled_once(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    await put(stack.gateway.admin, better(20))
    with stack.engine.holding():
        id_ = (await evaluate(stack, bundle={"adapter": new})).body["id"]
        refused = await stack.gateway.admin.delete("/admin/evaluation-sets/golden")
        assert (refused.status, refused.code) == (409, "evaluation_set_in_use")
        cancelled = await stack.gateway.admin.post(f"{EVALUATIONS}/{id_}/cancel")
        assert cancelled.body["state"] == "cancelled"
    again = await stack.gateway.admin.post(f"{EVALUATIONS}/{id_}/cancel")
    assert (again.status, again.code) == (409, "evaluation_over")


async def test_the_same_request_again_begins_nothing_new(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    await put(stack.gateway.admin, better(20))
    body = {"cases": "golden", "assistant": "support", "bundle": {"adapter": new}}
    headers = {"Idempotency-Key": "once"}
    first = await stack.gateway.admin.post(EVALUATIONS, json=body, headers=headers)
    again = await stack.gateway.admin.post(EVALUATIONS, json=body, headers=headers)
    assert first.body["id"] == again.body["id"]
    assert len((await stack.gateway.admin.get(EVALUATIONS)).body["data"]) == 1


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"cases": "nowhere", "bundle": {}}, 404, "evaluation_set_not_found"),
        ({"assistant": "nobody", "bundle": {}}, 404, "assistant_not_found"),
        ({"candidate": "support/9"}, 404, "release_not_found"),
        ({"candidate": "support/1"}, 400, "nothing_to_compare"),
        ({"bundle": {"adapter": "none@0123456789ab"}}, 404, "adapter_not_found"),
        ({}, 400, "invalid_request"),
        ({"bundle": {}, "candidate": "support/1"}, 400, "invalid_request"),
    ],
)
async def test_what_cannot_be_evaluated_is_refused(
    stack: ChatStack, fields: dict[str, Any], status: int, code: str
) -> None:
    await two_versions(stack)
    await put(stack.gateway.admin, better(2))
    refused = await evaluate(stack, **fields)
    assert (refused.status, refused.code) == (status, code)
    assert (await stack.gateway.admin.get(EVALUATIONS)).body["data"] == []


async def test_another_tenant_sees_nothing_of_it(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    await put(stack.gateway.admin, better(2))
    id_ = (await evaluated(stack, bundle={"adapter": new}))["id"]
    neighbour = stack.gateway.neighbour
    for path in ("/admin/evaluation-sets/golden", f"{EVALUATIONS}/{id_}",
                 f"{EVALUATIONS}/{id_}/answers"):  # fmt: skip
        assert (await neighbour.get(path)).status == 404
    assert (await neighbour.get(EVALUATIONS)).body["data"] == []
    assert (await neighbour.post(f"{EVALUATIONS}/{id_}/cancel")).status == 404
    assert (await stack.gateway.application.get(EVALUATIONS)).status == 403


async def test_a_paused_gate_is_evaluated_anew_when_it_goes_on(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    await put(stack.gateway.admin, better())
    with stack.engine.holding():
        id_ = await begun(stack, new, 50, hold_seconds=FOREVER, gate={"cases": "golden"})
        await comes_to(stack, id_, "gating")
        await act(stack, id_, "pause")
        assert (await seen(stack, id_))["state"] == "paused"
        await act(stack, id_, "resume")
    await comes_to(stack, id_, "canary")
