"""Documents in, passages out, on the real model, the real index and the real process."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.fakes.office import docx, pdf
from tests.service.retriever.retriever import Client
from tests.system.retriever.process import real_retriever

pytestmark = pytest.mark.anyio

HANDBOOK = {
    "returns-ko": ("반품 안내", "구매하신 물건은 수령 후 14일 안에 돌려보내실 수 있습니다."),
    "shipping-ko": ("배송 안내", "오후 두 시 전에 주문하시면 그날 발송합니다."),
    "warranty-ko": (
        "보증",
        "제품이 고장 나면 2년 동안 무상으로 수리해 드립니다. 오류 코드는 E-1042입니다.",
    ),
    "points-ko": ("적립금", "결제 금액의 1퍼센트가 적립되며 1년이 지나면 사라집니다."),
    "returns-en": ("Returns", "You may send an item back within 30 days of delivery."),
    "shipping-en": ("Shipping", "Orders placed before 2 pm leave our warehouse the same day."),
    "warranty-en": ("Warranty", "A broken lamp is repaired free of charge for two years."),
    "privacy-en": ("Privacy", "We delete your account data on request within one week."),
}


@pytest.fixture(scope="module")
async def handbook(client: Client) -> Client:
    """A client of a retriever that knows the handbook."""
    for name, (title, text) in HANDBOOK.items():
        reply = await client.put(name, text, "handbook", title=title)
        assert reply.status == 200
    return client


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("환불하려면 며칠 이내에 보내야 해요?", "returns-ko"),
        ("언제까지 주문해야 당일에 출고되나요?", "shipping-ko"),
        ("고장 났을 때 수리비가 드나요?", "warranty-ko"),
        ("포인트는 얼마나 쌓이나요?", "points-ko"),
        ("E-1042", "warranty-ko"),
        ("How many days do I have to bring a purchase back?", "returns-en"),
        ("What is the cutoff for same-day dispatch?", "shipping-en"),
        ("Can you erase my personal information?", "privacy-en"),
    ],
)
async def test_a_question_in_other_words_finds_its_document(
    handbook: Client, question: str, expected: str
) -> None:
    reply = await handbook.search(question, "handbook", top_k=3)
    assert reply.body["data"][0]["document_id"] == expected


async def test_a_question_in_one_language_finds_the_other(client: Client) -> None:
    for name, (title, text) in HANDBOOK.items():
        if name.endswith("-en"):
            await client.put(name, text, "english", title=title)
    for question, expected in (
        ("개인정보를 삭제할 수 있나요?", "privacy-en"),
        ("환불하려면 며칠 이내에 보내야 해요?", "returns-en"),
    ):
        reply = await client.search(question, "english")
        assert reply.body["data"][0]["document_id"] == expected


async def test_the_least_similarity_tells_what_belongs_here_from_what_does_not(
    handbook: Client,
) -> None:
    asked = await handbook.search("How long may I keep an item before returning it?", "handbook")
    off_topic = await handbook.search("Who won the football world cup in 1966?", "handbook")
    best = max(passage["similarity"] for passage in asked.body["data"])
    stray = max(passage["similarity"] for passage in off_topic.body["data"])
    assert best > stray
    between = (best + stray) / 2
    kept = await handbook.search(
        "How long may I keep an item before returning it?", "handbook", min_score=between
    )
    assert kept.body["data"][0]["document_id"] == "returns-en"
    nothing = await handbook.search(
        "Who won the football world cup in 1966?", "handbook", min_score=between
    )
    assert nothing.body["data"] == []


async def test_files_are_found_by_what_they_say(client: Client) -> None:
    cover = "Thank you for choosing our water systems. " * 22
    reply = await client.upload(
        [
            ("휴가 규정.docx", docx(["# 휴가", "연차는 입사 1년 뒤에 15일이 생깁니다."])),
            ("manual.pdf", pdf([cover, "Press the red button to stop the pump. " * 4])),
        ],
        "files",
    )
    assert reply.body["failed"] == 0
    korean = (await client.search("쉬는 날은 며칠인가요?", "files")).body["data"][0]
    assert (korean["document_id"], korean["title"]) == ("휴가 규정.docx", "휴가")
    english = (await client.search("How do I halt the pump?", "files")).body["data"][0]
    assert (english["document_id"], english["page"]) == ("manual.pdf", 2)


async def test_a_long_korean_text_is_cut_into_exact_spans(client: Client) -> None:
    text = "\n\n".join(
        f"## 제{n}조 (조항 {n})\n\n" + f"이 조항은 {n}번째 내용을 정합니다. " * 20
        for n in range(1, 30)
    )
    receipt = await client.put("계약서", text, "contracts")
    assert receipt.body["chunks"] > 29
    for n in (3, 17, 28):
        passage = (await client.search(f"제{n}조", "contracts")).body["data"][0]
        assert passage["headings"] == [f"제{n}조 (조항 {n})"]
        assert text[passage["span"]["start"] : passage["span"]["end"]] == passage["text"]


async def test_a_search_is_answered_while_a_long_document_is_embedded(client: Client) -> None:
    await client.put("d", "apple", "quick")
    long = "\n\n".join(f"# Part {n}\n\n" + f"Sentence {n} of many. " * 40 for n in range(60))
    write = asyncio.create_task(client.put("long", long, "slow"))
    answered = 0
    while not write.done():
        assert (await client.search(f"apple {answered}", "quick")).passages == ["apple"]
        answered += 1
    assert (await write).status == 200
    assert answered > 3


async def test_a_killed_process_comes_back_with_all_it_acknowledged(
    models_dir: Path, tmp_path: Path
) -> None:
    acknowledged: list[str] = []
    text = "\n\n".join(f"# Part {n}\n\n" + f"Sentence {n} of many. " * 30 for n in range(8))

    async def keep_writing(client: Client) -> None:
        while True:
            name = f"d{len(acknowledged)}"
            try:
                await client.put(name, f"# Document {name}\n\n{text}")
            except aiohttp.ClientError:
                return
            acknowledged.append(name)

    async with real_retriever(tmp_path, models_dir) as (client, process):
        writing = asyncio.create_task(keep_writing(client))
        while len(acknowledged) < 3:
            await asyncio.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        await writing
    async with real_retriever(tmp_path, models_dir) as (client, _):
        page = (await client.call("GET", "/collections/docs/documents")).body["data"]
        assert {document["id"] for document in page} >= set(acknowledged)
        found = await client.search("Sentence 3 of many", top_k=100)
        places = [(p["document_id"], p["chunk"]) for p in found.body["data"]]
        assert len(places) == len(set(places))
        assert {document for document, _ in places} >= set(acknowledged)
        rebuilt = 'inkstone_documents_total{outcome="rebuilt"}'
        assert await client.metric(rebuilt) == 0


async def test_a_misspelt_setting_is_refused(models_dir: Path, tmp_path: Path) -> None:
    wrong = {"INKSTONE_RETRIEVER_CHUNK_TOKEN": "100"}
    with pytest.raises(RuntimeError, match="ended with 1"):
        async with real_retriever(tmp_path, models_dir, wrong):
            pass
