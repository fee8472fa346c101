"""One chat request is one trace over all processes, and says nothing of what was written."""

from __future__ import annotations

import json
import secrets

import pytest

from tests.fakes.agent import eventually
from tests.fakes.collector import Collector, Seen
from tests.fakes.engine import FakeEngine
from tests.system.monitoring.installation import Installation

pytestmark = pytest.mark.anyio

CLIENT, SERVER = 3, 2
SECRET = "비밀번호는사과나무"
DEADLINE_SECONDS = 60


def new_trace() -> tuple[str, dict[str, str]]:
    """The id of a trace that an app began, and the header that says so."""
    trace = secrets.token_hex(16)
    return trace, {"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"}


async def bound(installed: Installation) -> None:
    text = {"text": f"The refund takes 30 days. {SECRET}", "title": SECRET}
    await installed.admin("PUT", "/v1/collections/traced/documents/d1", json=text)
    retrieval = {"collections": ["traced"], "top_k": 2}
    await installed.admin("PUT", "/admin/assistants/traced", json={"retrieval": retrieval})


async def ask(installed: Installation, headers: dict[str, str], **fields: object) -> None:
    body = {"model": "traced", "messages": [{"role": "user", "content": SECRET}], **fields}
    app = installed.client(installed.keys["app"])
    reply = await app.post("/v1/chat/completions", json=body, headers=headers)
    assert reply.status == 200, reply


async def spans(collector: Collector, trace: str, *names: str) -> dict[str, Seen]:
    """Wait until spans of these names have come, and return all of the trace."""
    await eventually(
        lambda: set(names) <= {one.name for one in collector.of(trace)},
        seconds=DEADLINE_SECONDS,
    )
    return {f"{one.service}: {one.name}": one for one in collector.of(trace)}


def heard_by(engine: FakeEngine, trace: str) -> str:
    """The span under which the engine was asked."""
    told = [one.headers.get("traceparent", "") for one in engine.generations()]
    return next(parent.split("-")[2] for parent in told if trace in parent)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_request_is_one_trace_from_the_app_to_the_engine(
    installed: Installation, collector: Collector, stream: bool
) -> None:
    await bound(installed)
    trace, headers = new_trace()
    await ask(installed, headers, stream=stream)
    chat, search = "POST /v1/chat/completions", "POST /search"
    seen = await spans(collector, trace, chat, search, "chat traced", "POST engine")
    door = seen[f"inkstone-gateway: {chat}"]
    assert (door.kind, door.parent) == (SERVER, headers["traceparent"].split("-")[2])
    asked = seen["inkstone-gateway: POST retriever"]
    assert (asked.kind, asked.parent) == (CLIENT, door.id)
    assert seen[f"inkstone-retriever: {search}"].parent == asked.id
    assert seen["inkstone-retriever: embed"].parent == seen[f"inkstone-retriever: {search}"].id
    answered = seen["inkstone-gateway: chat traced"]
    assert (answered.kind, answered.parent) == (CLIENT, door.id)
    called = seen["inkstone-gateway: POST engine"]
    assert called.parent == answered.id
    assert heard_by(installed.engine, trace) == called.id
    assert answered.attributes["gen_ai.operation.name"] == "chat"
    assert answered.attributes["gen_ai.usage.output_tokens"] > 0
    assert door.attributes["inkstone.assistant"] == "traced"
    assert door.attributes["inkstone.outcome"] == "answered"
    assert not any(one.failed for one in seen.values())


async def test_a_failure_is_named_on_its_span(
    installed: Installation, collector: Collector
) -> None:
    trace, headers = new_trace()
    app = installed.client(installed.keys["app"])
    body = {"model": "nobody", "messages": [{"role": "user", "content": SECRET}]}
    assert (await app.post("/v1/chat/completions", json=body, headers=headers)).status == 404
    chat = "POST /v1/chat/completions"
    door = (await spans(collector, trace, chat))[f"inkstone-gateway: {chat}"]
    assert door.failed
    assert door.attributes["error.type"] == "model_not_found"


async def test_log_lines_name_the_trace(installed: Installation) -> None:
    trace, headers = new_trace()
    app = installed.client(installed.keys["app"])
    assert (await app.get("/v1/models", headers=headers)).status == 200
    log = installed.folder / "gateway.log"

    def lines() -> list[dict[str, object]]:
        return [json.loads(line) for line in log.read_text().splitlines() if trace in line]

    await eventually(lambda: bool(lines()), seconds=DEADLINE_SECONDS)
    assert {(line["event"], line["trace_id"]) for line in lines()} == {("request", trace)}


async def test_a_caller_that_is_not_sampled_leaves_no_trace(
    installed: Installation, collector: Collector
) -> None:
    await bound(installed)
    silent, headers = new_trace()
    headers["traceparent"] = headers["traceparent"][:-2] + "00"
    await ask(installed, headers)
    trace, headers = new_trace()
    await ask(installed, headers)
    await spans(collector, trace, "POST /v1/chat/completions", "POST /search")
    assert collector.of(silent) == []


async def test_no_text_and_no_probe_is_in_any_span(
    installed: Installation, collector: Collector
) -> None:
    await bound(installed)
    trace, headers = new_trace()
    await ask(installed, headers, stream=True)
    await spans(collector, trace, "POST /v1/chat/completions", "POST /search")
    assert not [body for body in collector.raw if SECRET.encode() in body]
    quiet = {"/metrics", "/healthz", "/internal/replicas/heartbeat", "/internal/jobs/claim"}
    assert not [one for one in collector.spans if one.attributes.get("url.path") in quiet]
    assert not [one for one in collector.spans if one.kind == CLIENT and not one.parent]
