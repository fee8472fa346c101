"""The chat endpoint in front of a real engine: what the fake promises is true."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from services.contracts.adapters import ReplicaAdapter, ReplicaAdapterState, ReplicaReport
from services.gateway.registry import tables
from services.gateway.settings import ChatLimits
from tests.fakes.retriever import passage
from tests.service.gateway.chat_stack import pack, until
from tests.service.gateway.gateway import GatewayUnderTest, gateway_under_test
from tests.system.generator.engines import KEY, real_subject
from tests.system.generator.subject import Subject
from tests.system.tiny_model import make_marker_adapter

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

QUESTION: Any = [{"role": "user", "content": "How long does delivery take? 배송은 얼마나 걸려요?"}]
RETRIEVAL = {"collections": ["handbook"]}


@dataclass(frozen=True, slots=True)
class Installation:
    """A gateway whose only replica is a real engine."""

    gateway: GatewayUnderTest
    engine: Subject
    client: AsyncOpenAI
    adapter: str
    """The version that the engine holds."""

    async def bind(self, **bundle: Any) -> None:
        reply = await self.gateway.admin.put("/admin/assistants/support", json=bundle)
        assert reply.status == 200, reply

    async def last_row(self) -> dict[str, Any]:
        await self.gateway.resources.answering.write_ledger()
        async with self.gateway.resources.registry.database.read() as connection:
            rows = (await connection.execute(tables.ledger.select())).mappings().all()
        return dict(max(rows, key=lambda row: float(row["at"])))

    async def running(self) -> float:
        """How many requests the engine works on."""
        text = (await self.engine.call("GET", "/metrics")).text
        line = next(line for line in text.splitlines() if line.startswith(RUNNING))
        return float(line.rsplit(" ", 1)[1])


RUNNING = "vllm:num_requests_running{"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def adapter_folder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter under which every token is its marker."""
    folder = tmp_path_factory.mktemp("adapter") / "alpha"
    return make_marker_adapter(tiny_model, folder, "[alpha]")


@pytest.fixture(scope="module")
async def engine(
    tiny_model: Path, engine_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Subject]:
    """One engine for this file."""
    folder = tmp_path_factory.mktemp("engine")
    async with real_subject(tiny_model, engine_cache, folder) as subject:
        yield subject


@pytest.fixture
async def installed(
    engine: Subject, adapter_folder: Path, tiny_model: Path, tmp_path: Path
) -> AsyncIterator[Installation]:
    limits = ChatLimits(answer_reserve_tokens=32)
    async with gateway_under_test(
        tmp_path, engine_api_key=KEY, tokenizer_dir=tiny_model, limits=limits
    ) as gateway:
        registered = await gateway.admin.post("/admin/adapters", data=pack(adapter_folder))
        adapter = str(registered.body["id"])
        await engine.load(adapter, adapter_folder)
        beating = asyncio.create_task(_beat(gateway, engine, adapter))
        await until(lambda: bool(gateway.resources.snapshot.replicas))
        async with AsyncOpenAI(
            base_url=f"{gateway.base_url}/v1", api_key=gateway.secrets["app"], max_retries=0
        ) as client:
            yield Installation(gateway, engine, client, adapter)
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating


async def _beat(gateway: GatewayUnderTest, engine: Subject, adapter: str) -> None:
    """Be the engine's agent."""
    report = ReplicaReport(
        replica="real",
        endpoint=engine.url,
        engine="ready",
        engine_started_at=1.0,
        base_model=engine.base,
        base_fingerprint="0" * 12,
        chat_template_hash="0" * 12,
        max_model_len=engine.max_model_len,
        max_loras=2,
        max_cpu_loras=3,
        max_lora_rank=16,
        adapters={adapter: ReplicaAdapter(state=ReplicaAdapterState.PROVEN)},
    )
    while True:
        body = report.model_dump(mode="json")
        await gateway.agent.post("/internal/replicas/heartbeat", json=body)
        await asyncio.sleep(0.2)


async def test_a_stream_says_what_the_whole_answer_says(installed: Installation) -> None:
    await installed.bind(profile={"sampling": {"max_tokens": 12}})
    create = installed.client.chat.completions.create
    whole = await create(model="support", messages=QUESTION)
    stream = await create(model="support", messages=QUESTION, stream=True)
    chunks = [chunk async for chunk in stream]
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert text
    assert whole.usage is not None
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens == 12
    assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason == "length"
    row = await installed.last_row()
    assert (row["completion_tokens"], row["status"], row["replica"]) == (12, 200, "real")


async def test_passages_stand_in_the_prompt_and_every_count_is_an_upper_bound(
    installed: Installation,
) -> None:
    installed.gateway.retriever.passages = [passage("배송은 이틀 걸립니다.", title="배송")]
    await installed.bind(retrieval=RETRIEVAL, profile={"sampling": {"max_tokens": 4}})
    answer = await installed.client.chat.completions.create(model="support", messages=QUESTION)
    assert answer.usage is not None
    counter = installed.gateway.resources.answering.composer.fitter.counter
    prompt: list[Any] = [
        {
            "role": "user",
            "content": "Passages:\n[1] 배송\n배송은 이틀 걸립니다.\n\nQuestion: "
            + QUESTION[0]["content"],
        }
    ]
    count = counter.count(prompt)
    assert answer.usage.prompt_tokens <= count <= answer.usage.prompt_tokens * 1.1 + 8


async def test_a_prompt_that_fills_the_context_is_fitted_and_not_refused(
    installed: Installation,
) -> None:
    installed.gateway.retriever.passages = [passage("word " * 60), passage("더 " * 300)]
    await installed.bind(retrieval=RETRIEVAL, profile={"sampling": {"max_tokens": 400}})
    answer = await installed.client.chat.completions.create(model="support", messages=QUESTION)
    summary = (answer.model_extra or {})["inkstone"]["retrieval"]
    assert (summary["passages"], summary["dropped"]) == (1, 1)
    assert answer.usage is not None
    assert answer.usage.total_tokens <= installed.engine.max_model_len


async def test_the_adapter_of_the_release_answers(installed: Installation) -> None:
    profile = {"sampling": {"max_tokens": 3}}
    await installed.bind(profile=profile)
    create = installed.client.chat.completions.create
    plain = await create(model="support", messages=QUESTION)
    assert "[alpha]" not in (plain.choices[0].message.content or "")
    await installed.bind(profile=profile, adapter=installed.adapter)
    for model in ("support", installed.adapter):
        answer = await create(model=model, messages=QUESTION, max_tokens=3)
        assert answer.choices[0].message.content == "[alpha]" * 3
        assert answer.model == model
        assert (answer.model_extra or {})["inkstone"]["adapter"] == installed.adapter


async def test_leaving_a_stream_stops_the_engine(installed: Installation) -> None:
    await installed.bind(profile={"sampling": {"max_tokens": 900}})
    stream = await installed.client.chat.completions.create(
        model="support", messages=QUESTION, stream=True
    )
    async for _ in stream:
        break
    await stream.close()
    async with asyncio.timeout(30):
        while await installed.running():
            await asyncio.sleep(0.02)
    row = await installed.last_row()
    assert (row["status"], row["disconnected"]) == (499, True)
    assert 0 < row["completion_tokens"] < 900
    assert row["prompt_tokens"] > 0


async def test_several_sampled_choices_with_log_probabilities(installed: Installation) -> None:
    await installed.bind(profile={"sampling": {"max_tokens": 6, "temperature": 0.9}})
    create = installed.client.chat.completions.create
    whole = await create(
        model="support", messages=QUESTION, n=2, logprobs=True, top_logprobs=1, seed=3
    )
    assert len(whole.choices) == 2
    assert whole.choices[0].logprobs is not None
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 12
    stream = await create(model="support", messages=QUESTION, n=2, seed=3, stream=True)
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 12
    assert {c.choices[0].index for c in chunks if c.choices} == {0, 1}


async def test_a_schema_is_enforced_by_the_engine(installed: Installation) -> None:
    schema = {
        "type": "object",
        "properties": {"answer": {"enum": ["two days", "a week"]}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    await installed.bind(profile={"output_schema": schema, "sampling": {"max_tokens": 64}})
    answer = await installed.client.chat.completions.create(model="support", messages=QUESTION)
    content = (answer.choices[0].message.content or "").replace(" ", "").replace("\n", "")
    assert content in ('{"answer":"twodays"}', '{"answer":"aweek"}')


async def test_what_the_engine_refuses_names_the_mend(installed: Installation) -> None:
    reply = await installed.gateway.application.post(
        "/v1/chat/completions",
        json={"model": "base", "messages": QUESTION, "n": 2, "temperature": 0, "stream": True},
    )
    assert (reply.status, reply.code) == (400, "engine_rejected_request")
    assert "greedy" in reply.message
