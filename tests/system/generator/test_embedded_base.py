"""The packaged base on a real engine: prepared from its package, served with its chat template."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from tokenizers import Tokenizer

from services.generator.base_model import BaseModel, locate
from services.generator.packaged_base import NAME, chat_template
from tests.system.generator.engines import KEY, plan_for, started
from tests.system.generator.subject import Subject

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

SYSTEM = "Answer the question from the passages and cite them like [1]."
KETTLE = (
    "[1] Hanok tea kettle\nThe kettle holds 1.7 litres and switches itself off after 4 minutes of "
    "boiling.\n[2] Delivery\nOrders placed before 15:00 leave the same day. Delivery costs 3 "
    "euros.\n\nQuestion: How much water does the kettle hold?"
)
DELIVERY = "[1] 배송 안내\n배송비는 3,000원입니다.\n\nQuestion: 배송비는 얼마인가요?"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    """Prepare the base as a first start does."""
    return locate(NAME, tmp_path_factory.mktemp("models"), lambda *_: None)


@pytest.fixture(scope="module")
async def engine(
    base: BaseModel, engine_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Subject]:
    """Serve it."""
    plan = plan_for(base.folder, engine_cache, served_name=base.name)
    log = tmp_path_factory.mktemp("embedded") / "engine.log"
    async with started(plan, log) as (_, url), aiohttp.ClientSession() as session:
        yield Subject(url, KEY, session, lambda folder, *_: folder, is_real=True, base=base.name)


def test_the_prepared_folder_is_complete_and_says_whose_it_is(base: BaseModel) -> None:
    record = json.loads((base.folder / "fingerprint.json").read_text())
    assert record["fingerprint"] == base.fingerprint
    assert record["chat_template_hash"] == base.chat_template_hash
    assert (base.folder / "chat_template.jinja").read_text() == chat_template()
    assert "ai.google.dev/gemma/terms" in (base.folder / "NOTICE").read_text()
    assert not list(base.folder.parent.glob(".*"))
    generation = json.loads((base.folder / "generation_config.json").read_text())
    assert generation["eos_token_id"] == [1, 106]


def test_a_prepared_base_is_used_as_it_is(base: BaseModel) -> None:
    stages: list[str] = []
    again = locate(NAME, base.folder.parent, lambda stage, *_: stages.append(stage))
    assert again == base
    assert stages == []


async def test_the_prompt_is_the_template_s_text_with_one_bos(
    engine: Subject, base: BaseModel
) -> None:
    tokenizer = Tokenizer.from_file(str(base.folder / "tokenizer.json"))
    messages = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": DELIVERY},
    ]
    expected = f"<bos>{SYSTEM}\n\n{DELIVERY}\n\nAnswer:\n"
    answer = await engine.chat(messages=messages, max_tokens=1)
    tokens = tokenizer.encode(expected, add_special_tokens=False).ids
    assert tokens.count(2) == 1
    assert answer.body["usage"]["prompt_tokens"] == len(tokens)


async def test_a_plain_completion_gets_no_bos_of_its_own(engine: Subject) -> None:
    body = {"model": engine.base, "prompt": "hello", "max_tokens": 1}
    answer = await engine.call("POST", "/v1/completions", body)
    assert answer.body["usage"]["prompt_tokens"] == 1


@pytest.mark.parametrize(("question", "fact"), [(KETTLE, "1.7"), (DELIVERY, "3,000")])
async def test_the_base_answers_from_a_passage_in_both_languages(
    engine: Subject, question: str, fact: str
) -> None:
    text = await engine.text(
        messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}],
        max_tokens=24,
        stop=["\n\n", "\nQuestion:"],
    )
    assert fact in text
