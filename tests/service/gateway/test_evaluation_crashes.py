"""An evaluation survives the death of the gateway that makes it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.fakes.agent import eventually
from tests.fakes.engine import FakeEngine
from tests.fakes.engine_generation import Call
from tests.fakes.loopback import running
from tests.service.gateway.chat_stack import BEAT_SECONDS, ENGINE_KEY, Agent
from tests.service.gateway.gateway import Client
from tests.service.gateway.process import GatewayProcess, gateway_process

pytestmark = pytest.mark.anyio

CASES = 24
DEADLINE_SECONDS = 120
VARIABLES = {
    "INKSTONE_GATEWAY_ENGINE_API_KEY": ENGINE_KEY,
    "INKSTONE_GATEWAY_EVALUATIONS__LOOK_SECONDS": "0.05",
    "INKSTONE_GATEWAY_EVALUATIONS__LEASE_SECONDS": "1",
}


@contextlib.asynccontextmanager
async def gateway(
    home: Path, session: aiohttp.ClientSession, agent: Agent
) -> AsyncIterator[GatewayProcess]:
    """Run a gateway as a process, with a replica that reports to it."""
    async with gateway_process(home, session, VARIABLES) as process:
        reporter = process.client("agent")
        body = agent.report().model_dump(mode="json")

        async def beat() -> None:
            with contextlib.suppress(aiohttp.ClientError):
                while True:
                    await reporter.post("/internal/replicas/heartbeat", json=body)
                    await asyncio.sleep(BEAT_SECONDS)

        beating = asyncio.create_task(beat())
        try:
            yield process
        finally:
            beating.cancel()


async def begun(admin: Client) -> str:
    lines = "\n".join(
        json.dumps({"id": str(n), "question": f"질문 {n}?", "expected": "공손"})
        for n in range(CASES)
    )
    await admin.put("/admin/evaluation-sets/golden", data=lines.encode())
    assert (await admin.put("/admin/assistants/support", json={})).status == 200
    body = {
        "cases": "golden",
        "assistant": "support",
        "bundle": {"profile": {"system": "공손하게 답하세요."}},
    }
    reply = await admin.post("/admin/evaluations", json=body)
    assert reply.status == 201, reply
    return str(reply.body["id"])


async def test_a_killed_gateway_s_evaluation_goes_on_with_the_cases_that_are_missing(
    tmp_path: Path,
) -> None:
    engine = FakeEngine(api_key=ENGINE_KEY)

    def reply(call: Call) -> str:
        if len(engine.generations()) >= 8:
            # Whatever comes after these finds an engine that answers when its gateway is gone.
            engine.knobs.first_token_delay_seconds = DEADLINE_SECONDS
        return "공손한 대답" if "공손하게" in call.prompt else "대답"

    engine.reply = reply
    async with running(engine.app) as url, aiohttp.ClientSession() as session:
        agent = Agent("replica-1", url, engine)
        found: dict[str, Any] = {}

        async def has(admin: Client, **wanted: Any) -> bool:
            found.update((await admin.get(f"/admin/evaluations/{id_}")).body)
            return all(found[name] >= value for name, value in wanted.items())

        async with gateway(tmp_path, session, agent) as process:
            admin = process.client()
            id_ = await begun(admin)
            await eventually(lambda: has(admin, answered=2), seconds=DEADLINE_SECONDS)
            await process.kill()
        assert found["answered"] < CASES
        engine.knobs.first_token_delay_seconds = 0.0
        engine.reply = lambda call: "공손한 대답" if "공손하게" in call.prompt else "대답"
        async with gateway(tmp_path, session, agent) as process:
            admin = process.client()
            await eventually(lambda: has(admin, answered=CASES), seconds=DEADLINE_SECONDS)
            await eventually(lambda: _is_done(admin, id_), seconds=DEADLINE_SECONDS)
            ended = (await admin.get(f"/admin/evaluations/{id_}")).body
        assert (ended["verdict"], ended["report"]["comparison"]["main"]["gained"]) == (
            "adopt",
            CASES,
        )
        # Asked again were only the cases that were under way when the gateway died.
        asked = Counter(call.body["messages"][-1]["content"] for call in engine.generations())
        assert set(asked) == {f"질문 {n}?" for n in range(CASES)}
        assert sum(asked.values()) <= 2 * CASES + 8


async def _is_done(admin: Client, id_: str) -> bool:
    return bool((await admin.get(f"/admin/evaluations/{id_}")).body["state"] == "done")
