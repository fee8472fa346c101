"""`/v1/embeddings` with the official client, in front of a real retriever."""

from __future__ import annotations

import base64
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.types import CreateEmbeddingResponse

from tests.service.gateway.gateway import gateway_under_test
from tests.service.gateway.knowledge_stack import KnowledgeStack, knowledge_stack, refusal, strict

pytestmark = pytest.mark.anyio

MODEL = "hashing"
PATH = "/v1/embeddings"


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[KnowledgeStack]:
    async with knowledge_stack(tmp_path) as running:
        yield running


@pytest.fixture
async def client(stack: KnowledgeStack) -> AsyncOpenAI:
    return await stack.client("app")


async def test_texts_become_vectors_of_unit_length_in_order(client: AsyncOpenAI) -> None:
    texts = ["환불은 14일 안에 됩니다.", "The warranty lasts two years.", "apple"]
    reply = await client.embeddings.create(model=MODEL, input=texts)
    strict(CreateEmbeddingResponse, reply)
    assert [item.index for item in reply.data] == [0, 1, 2]
    assert (reply.model, reply.usage.total_tokens) == (MODEL, reply.usage.prompt_tokens)
    assert reply.usage.prompt_tokens > len(texts)
    for item, text in zip(reply.data, texts, strict=True):
        assert sum(value * value for value in item.embedding) == pytest.approx(1, abs=1e-5)
        alone = await client.embeddings.create(model=MODEL, input=text)
        assert alone.data[0].embedding == pytest.approx(item.embedding, abs=1e-6)


async def test_base64_holds_the_same_numbers_as_floats(stack: KnowledgeStack) -> None:
    vectors = {}
    for form in ("float", "base64"):
        body = {"model": MODEL, "input": "환불", "encoding_format": form}
        reply = await stack.gateway.application.post(PATH, json=body)
        vectors[form] = reply.body["data"][0]["embedding"]
    packed = base64.b64decode(vectors["base64"])
    assert struct.unpack(f"<{len(packed) // 4}f", packed) == pytest.approx(vectors["float"])
    assert len(vectors["float"]) == 64


async def test_more_texts_than_one_call_takes_keep_their_order(client: AsyncOpenAI) -> None:
    texts = [f"text number {n}" for n in range(150)]
    reply = await client.embeddings.create(model=MODEL, input=texts)
    assert [item.index for item in reply.data] == list(range(150))
    last = await client.embeddings.create(model=MODEL, input=texts[-1])
    assert reply.data[-1].embedding == pytest.approx(last.data[0].embedding, abs=1e-6)


async def test_questions_may_be_told_from_passages(
    stack: KnowledgeStack, client: AsyncOpenAI
) -> None:
    for kind in ("query", "passage"):
        extra = {"input_type": kind}
        await client.embeddings.create(model=MODEL, input="환불", extra_body=extra)
    assert stack.embedder.kinds == ["query", "passage"]


async def test_the_embedding_model_is_listed(client: AsyncOpenAI) -> None:
    (listed,) = [m for m in (await client.models.list()).data if m.id == MODEL]
    assert listed.model_dump()["kind"] == "embedding"
    assert (await client.models.retrieve(MODEL)).id == MODEL


BAD: list[tuple[dict[str, Any], int, str]] = [
    ({"model": "text-embedding-3-small"}, 404, "model_not_found"),
    ({"dimensions": 32}, 400, "dimensions_unsupported"),
    ({"input": [1, 2, 3]}, 400, "tokens_unsupported"),
    ({"input": [[1, 2], [3]]}, 400, "tokens_unsupported"),
    ({"input": ""}, 400, "invalid_request"),
    ({"input": []}, 400, "tokens_unsupported"),
    ({"input": ["a", ""]}, 400, "invalid_request"),
    ({"input": ["a", 1]}, 400, "invalid_request"),
    ({"input": None}, 400, "invalid_request"),
    ({"input": ["a"] * 2049}, 400, "invalid_request"),
    ({"encoding_format": "int8"}, 400, "invalid_request"),
    ({"input_type": "document"}, 400, "invalid_request"),
    ({"surprise": 1}, 400, "invalid_request"),
]


@pytest.mark.parametrize(("fields", "status", "code"), BAD)
async def test_what_cannot_be_embedded_is_refused(
    stack: KnowledgeStack, fields: dict[str, Any], status: int, code: str
) -> None:
    reply = await stack.gateway.application.post(
        PATH, json={"model": MODEL, "input": "a", **fields}
    )
    assert (reply.status, reply.code) == (status, code)


async def test_the_models_own_dimensions_are_accepted(client: AsyncOpenAI) -> None:
    reply = await client.embeddings.create(model=MODEL, input="a", dimensions=64)
    assert len(reply.data[0].embedding) == 64


async def test_requests_are_counted_with_their_tokens(
    stack: KnowledgeStack, client: AsyncOpenAI
) -> None:
    reply = await client.embeddings.create(model=MODEL, input="one two three")
    await refusal(client.embeddings.create(model="other", input="one"))
    page = (await stack.gateway.client(None).get("/metrics")).body
    assert 'inkstone_embedding_requests_total{status="200"} 1.0' in page
    assert 'inkstone_embedding_requests_total{status="404"} 1.0' in page
    assert f"inkstone_embedding_tokens_total {float(reply.usage.prompt_tokens)}" in page


async def test_one_key_embeds_no_more_at_once_than_it_may(tmp_path: Path) -> None:
    limits = {"max_in_flight_per_key": 1}
    async with knowledge_stack(tmp_path, limits=limits) as stack:
        client = await stack.client("app")
        with stack.gateway.resources.answering.admission.admit(stack.key_id("app")):
            busy = client.embeddings.create(model=MODEL, input="a")
            assert await refusal(busy) == (429, "key_overloaded")
        await client.embeddings.create(model=MODEL, input="a")


async def test_without_a_retriever_models_are_listed_and_embeddings_a_503(tmp_path: Path) -> None:
    async with gateway_under_test(tmp_path, retriever_url="http://127.0.0.1:9") as gateway:
        assert (await gateway.application.get("/v1/models")).status == 200
        reply = await gateway.application.post(PATH, json={"model": MODEL, "input": "a"})
        assert (reply.status, reply.code) == (503, "retriever_unreachable")


async def test_only_keys_of_apps_may_embed(stack: KnowledgeStack) -> None:
    body = {"model": MODEL, "input": "a"}
    for client, status in ((stack.gateway.agent, 403), (stack.gateway.client(None), 401)):
        assert (await client.post(PATH, json=body)).status == status
