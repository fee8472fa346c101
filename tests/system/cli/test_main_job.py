"""The main job on the embedded base, through the official client, as an app would do it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
from openai import APIStatusError, AsyncOpenAI

from services.cli.connection import Connection
from services.cli.gateway import Gateway
from services.cli.swap import LiveSwap
from services.contracts.assistants import AssistantWrite, Profile, RetrievalPolicy
from tests.system.cli.local_stack import EXAMPLES, LocalStack, local_stack

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

RECOVERY_SECONDS = 240


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with local_stack(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture
async def gateway(stack: LocalStack) -> AsyncIterator[Gateway]:
    async with Connection(stack.url, stack.key("admin")).gateway() as opened:
        yield opened


@pytest.fixture
async def client(stack: LocalStack) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=f"{stack.url}/v1", api_key=stack.key("app"), max_retries=0
    ) as opened:
        yield opened


async def _bind_voice(gateway: Gateway, voice: str) -> str:
    await gateway.upload("handbook", sorted((EXAMPLES / "corpus").iterdir()))
    version = await gateway.register(EXAMPLES / "adapters" / voice)
    profile = Profile.model_validate_json((EXAMPLES / "profiles" / f"{voice}.json").read_bytes())
    await gateway.put_assistant(
        voice,
        AssistantWrite(
            profile=profile,
            retrieval=RetrievalPolicy(collections=["handbook"], top_k=3),
            adapter=version.id,
        ),
    )
    return version.id


async def _answer(client: AsyncOpenAI, model: str, question: str) -> tuple[str, dict[str, object]]:
    reply = await client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": question}]
    )
    return reply.choices[0].message.content or "", reply.model_extra or {}


@pytest.mark.parametrize(
    ("question", "document"),
    [
        ("How long does the K2 keep water warm?", "onsae-k2-kettle-guide.md"),
        ("T3 티포트 용량은 얼마인가요?", "온새-티포트-사용-설명서.md"),
    ],
)
async def test_a_question_is_answered_from_the_documents_and_cites_them(
    gateway: Gateway, client: AsyncOpenAI, question: str, document: str
) -> None:
    version = await _bind_voice(gateway, "formal")
    text, extra = await _answer(client, "formal", question)
    citations = extra["citations"]
    assert isinstance(citations, list)
    assert citations, text
    assert document in {one["document_id"] for one in citations}
    assert all(f"[{one['n']}]" in text for one in citations)
    block = extra["inkstone"]
    assert isinstance(block, dict)
    assert block["adapter"] == version
    assert block["retrieval"]["grounded"] is True


async def test_two_voices_answer_the_same_question_differently(
    gateway: Gateway, client: AsyncOpenAI
) -> None:
    answers = {}
    for voice in ("formal", "friendly"):
        await _bind_voice(gateway, voice)
        answers[voice], _ = await _answer(client, voice, "How long is the warranty on a kettle?")
    assert answers["formal"] != answers["friendly"]
    assert len(answers["formal"]) > len(answers["friendly"])


async def test_a_stream_gives_the_same_text_and_ends_with_citations_and_usage(
    gateway: Gateway, client: AsyncOpenAI
) -> None:
    await _bind_voice(gateway, "formal")
    question = "How long is the warranty on a kettle?"
    whole, extra = await _answer(client, "formal", question)
    stream = await client.chat.completions.create(
        model="formal", messages=[{"role": "user", "content": question}], stream=True
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == whole
    last = chunks[-1]
    assert last.usage is not None
    assert last.usage.completion_tokens > 0
    assert (last.model_extra or {})["citations"] == extra["citations"]


async def test_swapping_a_live_adapter_fails_no_request_and_mixes_no_version(
    gateway: Gateway, client: AsyncOpenAI
) -> None:
    markers = {
        (await gateway.register(EXAMPLES / "adapters" / name)).id: word
        for name, word in (("marker-a", "MARKER-A"), ("marker-b", "MARKER-B"))
    }
    live = LiveSwap(gateway, client, "oracle", markers)
    report = await live.run(swaps=3, workers=2, pause_seconds=2.0)
    assert report.sent > 0
    assert (report.failed, report.wrong) == (0, 0), report.errors


async def test_a_killed_engine_comes_back_with_its_adapters_before_it_answers(
    stack: LocalStack, gateway: Gateway, client: AsyncOpenAI
) -> None:
    version = await _bind_voice(gateway, "friendly")
    question = "How long is the warranty on a kettle?"
    before, _ = await _answer(client, "friendly", question)
    engines = stack.descendants("--enable-lora")
    assert engines
    for pid in engines:
        os.kill(pid, signal.SIGKILL)
    after, extra, refusals = await _answer_when_back(client, "friendly", question)
    assert after == before
    block = extra["inkstone"]
    assert isinstance(block, dict)
    assert block["adapter"] == version
    assert refusals <= {502, 503}


async def test_a_killed_retriever_is_started_again_and_has_lost_nothing(
    stack: LocalStack, gateway: Gateway, client: AsyncOpenAI
) -> None:
    await _bind_voice(gateway, "formal")
    documents = await gateway.documents("handbook")
    for pid in stack.descendants("-m services.retriever"):
        os.kill(pid, signal.SIGKILL)
    text, _, refusals = await _answer_when_back(
        client, "formal", "How long is the warranty on a kettle?"
    )
    assert text
    assert refusals <= {502, 503}
    assert await gateway.documents("handbook") == documents
    assert "retriever ended (signal SIGKILL)" in stack.text


async def _answer_when_back(
    client: AsyncOpenAI, model: str, question: str
) -> tuple[str, dict[str, object], set[int]]:
    """Ask until there is an answer; return it and the statuses of the refusals before it."""
    refusals: set[int] = set()
    async with asyncio.timeout(RECOVERY_SECONDS):
        while True:
            try:
                text, extra = await _answer(client, model, question)
            except APIStatusError as error:
                refusals.add(error.status_code)
                await asyncio.sleep(0.5)
            else:
                return text, extra, refusals
