"""Searching over HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.contracts.knowledge import CollectionSearch, Passage
from services.retriever.catalogue.records import Caller, Live, Place
from services.retriever.index.port import Hit
from services.retriever.indexing import CHUNKS_A_STEP
from services.retriever.ranking import Found, Ranking
from services.retriever.settings import Limits, Search
from tests.service.retriever.retriever import Client, RetrieverUnderTest, retriever_on

pytestmark = pytest.mark.anyio


async def test_a_passage_says_where_it_comes_from(client: Client) -> None:
    text = "# Returns\n\nSend it back.\n\n## Deadline\n\nWithin 14 days of delivery, 배송 후 14일."
    await client.put(
        "policy", text, title="Policy", uri="https://example.com/p", metadata={"lang": "en"}
    )
    reply = await client.search("deadline days delivery")
    passage = reply.body["data"][0]
    assert passage["collection"] == "docs"
    assert passage["document_id"] == "policy"
    assert passage["title"] == "Policy"
    assert passage["uri"] == "https://example.com/p"
    assert passage["metadata"] == {"lang": "en"}
    assert passage["headings"] == ["Returns", "Deadline"]
    assert passage["page"] is None
    span = passage["span"]
    assert text[span["start"] : span["end"]] == passage["text"]
    assert "Within 14 days" in passage["text"]
    assert -1 <= passage["similarity"] <= 1
    timings = reply.body["timings"]
    assert timings["total_ms"] >= timings["embed_ms"] + timings["search_ms"] > 0


async def test_top_k_bounds_what_is_found(client: Client) -> None:
    for n in range(8):
        await client.put(f"d{n}", f"apple number {n}")
    assert len((await client.search("apple")).passages) == 5
    assert len((await client.search("apple", top_k=2)).passages) == 2
    assert len((await client.search("apple", top_k=100)).passages) == 8


async def test_scores_fall_from_passage_to_passage(client: Client) -> None:
    for n, text in enumerate(["apple pie", "apple", "pear", "plum apple tart", "zebra"]):
        await client.put(f"d{n}", text)
    scores = [passage["score"] for passage in (await client.search("apple pie")).body["data"]]
    assert scores == sorted(scores, reverse=True)


async def test_a_passage_below_the_least_similarity_is_left_out(client: Client) -> None:
    await client.put("near", "apple pie recipe")
    await client.put("far", "quantum zebra")
    everything = (await client.search("apple pie recipe", min_score=0)).body["data"]
    assert len(everything) == 2
    assert (await client.search("apple pie recipe", min_score=0.9)).passages == ["apple pie recipe"]
    assert (await client.search("something else entirely", min_score=0.99)).passages == []


async def test_modes_search_by_meaning_by_words_or_both(client: Client) -> None:
    await client.put("a", "the code is E-1042")
    await client.put("b", "no code at all")
    assert (await client.search("E-1042", mode="lexical")).passages == ["the code is E-1042"]
    assert len((await client.search("E-1042", mode="dense")).passages) == 2
    assert (await client.search("E-1042", mode="hybrid")).passages[0] == "the code is E-1042"


async def test_several_collections_are_searched_at_once(client: Client) -> None:
    await client.put("a", "apple one", collection="first")
    await client.put("a", "apple two", collection="second")
    await client.put("a", "apple three", collection="third")
    reply = await client.search("apple", "first", "second")
    found = {(p["collection"], p["text"]) for p in reply.body["data"]}
    assert found == {("first", "apple one"), ("second", "apple two")}


async def test_an_unknown_collection_among_known_ones_is_a_404(client: Client) -> None:
    await client.put("a", "apple")
    reply = await client.search("apple", "docs", "nope")
    assert (reply.status, reply.code) == (404, "collection_not_found")
    assert "nope" in reply.body["error"]["message"]


async def test_another_tenants_collection_is_unknown(client: Client) -> None:
    await client.neighbour.put("a", "apple")
    assert (await client.search("apple")).code == "collection_not_found"


async def test_restricted_documents_are_found_by_their_groups_only(client: Client) -> None:
    await client.put("open", "apple for all")
    await client.put("closed", "apple for staff", allowed_groups=["staff", "인사팀"])
    assert (await client.search("apple")).passages == ["apple for all"]
    assert (await client.in_groups("guests").search("apple")).passages == ["apple for all"]
    for group in ("staff", "인사팀"):
        found = (await client.in_groups("guests", group).search("apple")).passages
        assert sorted(found) == ["apple for all", "apple for staff"]
    assert (await client.neighbour.in_groups("staff").search("apple")).status == 404


async def test_a_group_with_a_comma_is_one_group(client: Client) -> None:
    await client.put("closed", "apple", allowed_groups=["a,b"])
    assert (await client.in_groups("a", "b").search("apple")).passages == []
    assert (await client.in_groups("a,b").search("apple")).passages == ["apple"]


async def test_taking_a_group_away_hides_the_document_at_once(client: Client) -> None:
    staff = client.in_groups("staff")
    await client.put("d", "apple", allowed_groups=["staff"])
    assert (await staff.search("apple")).passages == ["apple"]
    await client.put("d", "apple", allowed_groups=["board"])
    assert (await staff.search("apple")).passages == []


async def test_metadata_filters_what_is_searched(client: Client) -> None:
    await client.put("old", "apple then", metadata={"year": 2020, "언어": "한국어"})
    await client.put("new", "apple now", metadata={"year": 2024, "언어": "English"})
    newer = {"type": "gt", "key": "year", "value": 2021}
    assert (await client.search("apple", filter=newer)).passages == ["apple now"]
    korean = {"type": "eq", "key": "언어", "value": "한국어"}
    assert (await client.search("apple", filter=korean)).passages == ["apple then"]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"type": "gt", "key": "a", "value": "not a date"}, "filter_invalid"),
        ({"type": "gt", "key": "a", "value": True}, "filter_invalid"),
        ({"type": "eq", "key": "a", "value": [1]}, "filter_invalid"),
        ({"type": "in", "key": "a", "value": 1}, "filter_invalid"),
        ({"type": "in", "key": "a", "value": []}, "filter_invalid"),
        ({"type": "in", "key": "a", "value": list(range(100))}, "filter_too_large"),
        ({"type": "like", "key": "a", "value": "x"}, "invalid_request"),
        ({"must": [{"key": "scope"}]}, "invalid_request"),
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused(
    client: Client, wanted: object, code: str
) -> None:
    await client.put("a", "apple")
    reply = await client.search("apple", filter=wanted)
    assert (reply.status, reply.code) == (400, code)


async def test_a_deeply_nested_filter_is_refused(client: Client) -> None:
    await client.put("a", "apple")
    nested: dict[str, object] = {"type": "eq", "key": "a", "value": 1}
    for _ in range(100):
        nested = {"type": "not", "filter": nested}
    assert (await client.search("apple", filter=nested)).status == 400


@pytest.mark.parametrize(
    "body",
    [
        {"query": "", "collections": ["docs"]},
        {"query": "x", "collections": []},
        {"query": "x", "collections": ["Bad Name"]},
        {"query": "x", "collections": ["docs"], "top_k": 0},
        {"query": "x", "collections": ["docs"], "top_k": 101},
        {"query": "x", "collections": ["docs"], "min_score": 2},
        {"query": "x", "collections": ["docs"], "mode": "magic"},
        {"query": "x", "collections": ["docs"], "tenant": "rival"},
        {"query": "x", "collections": ["docs"], "diversity": 1.1},
        {"query": "x", "collections": ["docs"], "expand": "document"},
        {"query": "x", "collections": ["docs"], "weights": {"dense": -1}},
    ],
)
async def test_a_malformed_search_is_refused(client: Client, body: object) -> None:
    reply = await client.call("POST", "/search", body)
    assert (reply.status, reply.code) == (400, "invalid_request")


@pytest.mark.parametrize("query", ["?", "\0", "🙂", "가", "a" * 8192, "' OR 1=1 --", "\u200b"])
async def test_any_text_can_be_asked(client: Client, query: str) -> None:
    await client.put("a", "apple")
    assert (await client.search(query)).status == 200


async def test_no_search_ever_sees_two_revisions_or_none(retriever: RetrieverUnderTest) -> None:
    """Search without a pause while one document is replaced again and again."""
    client = retriever.client
    await client.put("d", "apple revision 0")
    done = asyncio.Event()
    seen: set[str] = set()

    async def keep_searching() -> None:
        while not done.is_set():
            passages = (await client.search("apple revision")).passages
            assert len(passages) == 1, passages
            seen.update(passages)

    searchers = [asyncio.create_task(keep_searching()) for _ in range(4)]
    for n in range(1, 15):
        await client.put("d", f"apple revision {n}")
        # What was acknowledged is what the next search finds.
        assert (await client.search("apple revision")).passages == [f"apple revision {n}"]
    done.set()
    await asyncio.gather(*searchers)
    assert len(seen) > 1


async def test_unseen_chunks_take_no_place_from_live_ones(retriever: RetrieverUnderTest) -> None:
    """Half of a long document is in the index, nearer to the question than all else, and unseen."""
    client, embedder = retriever.client, retriever.embedder
    await client.put("short", "apple among other words")
    embedder.passages_may_go.clear()
    embedder.free_texts = CHUNKS_A_STEP
    parts = (f"# Part {n}\n\n" + "apple " * 30 for n in range(2 * CHUNKS_A_STEP))
    write = asyncio.create_task(client.put("long", "\n\n".join(parts)))
    while await retriever.resources.index.count() <= CHUNKS_A_STEP:
        await asyncio.sleep(0.01)
    assert (await client.search("apple", top_k=1)).passages == ["apple among other words"]
    embedder.passages_may_go.set()
    assert (await write).body["chunks"] == 2 * CHUNKS_A_STEP
    assert (await client.search("apple", top_k=1)).passages != ["apple among other words"]


async def test_texts_are_embedded_without_being_stored(client: Client) -> None:
    reply = await client.call("POST", "/embeddings", {"input": ["apple", "사과 파이"]})
    assert reply.body["model"] == "hashing"
    assert reply.body["dimensions"] == len(reply.body["data"][0]) == len(reply.body["data"][1])
    assert reply.body["prompt_tokens"] == 3
    for vector in reply.body["data"]:
        assert sum(value * value for value in vector) == pytest.approx(1, abs=1e-5)


async def test_too_much_to_embed_is_refused(tmp_path: Path) -> None:
    async with retriever_on(tmp_path, limits=Limits(max_embedding_characters=100)) as retriever:
        much = {"input": ["a" * 60, "b" * 60]}
        reply = await retriever.client.call("POST", "/embeddings", much)
        assert (reply.status, reply.code) == (413, "embedding_input_too_large")
        assert (await retriever.client.call("POST", "/embeddings", {"input": []})).status == 400


FIRST, SECOND = (f"{word} 문단은 " + "길게 " * 10 for word in ("사과", "얼룩말"))
SECTION = f"## 교환\n\n{FIRST}이어집니다.\n\n{SECOND}이어집니다."
GUIDE = f"# 안내\n\n## 배송\n\n배송 문단은 다른 이야기만 길게 길게 합니다.\n\n{SECTION}\n"


async def test_a_passage_brings_its_section_when_asked(tmp_path: Path) -> None:
    async with retriever_on(tmp_path, chunk_tokens=16, chunk_overlap_tokens=0) as retriever:
        await retriever.client.put("guide", GUIDE)
        bare = (await retriever.client.search("얼룩말", top_k=1)).body["data"][0]
        full = (await retriever.client.search("얼룩말", top_k=1, expand="section")).body["data"][0]
    assert bare["surroundings"] is None
    assert "얼룩말" in bare["text"]
    assert "사과" not in bare["text"]
    around = full.pop("surroundings")
    assert around["text"] == SECTION
    assert GUIDE[around["span"]["start"] : around["span"]["end"]] == SECTION
    assert full == {key: value for key, value in bare.items() if key != "surroundings"}


async def test_a_section_is_brought_once_and_by_the_best_passage(tmp_path: Path) -> None:
    async with retriever_on(tmp_path, chunk_tokens=16, chunk_overlap_tokens=0) as retriever:
        await retriever.client.put("guide", GUIDE)
        reply = await retriever.client.search("얼룩말 사과 문단", top_k=10, expand="section")
    brought = [one["surroundings"] for one in reply.body["data"]]
    texts = [one["text"] for one in brought if one is not None]
    assert len(brought) > len(texts) == len(set(texts)) == 2
    assert brought[0] is not None


async def test_a_section_of_a_document_that_was_replaced_meanwhile_is_left_out(
    retriever: RetrieverUnderTest,
) -> None:
    """The chunk is still found, its text stands nowhere any more."""
    client, documents = retriever.client, retriever.resources.catalogue.documents
    await client.put("d", "apple pie")
    passage = Passage.model_validate((await client.search("apple")).body["data"][0])
    await client.put("d", "something else")
    ranking = Ranking(documents, retriever.embedder, None, Search(expand="section"))
    place = Place("acme", "docs", "d")
    hit = Hit(
        "x",
        1.0,
        1.0,
        1,
        {"chunk": 0, "start": 0, "end": 9, "text": passage.text, "headings": [], "page": None},
    )
    search = CollectionSearch(query="apple", collections=["docs"])
    caller = Caller("acme", (), curator=False)
    found = Found(hit, Live(place, "", "", {}))
    (shown,) = await ranking.passages(caller, search, [found])
    assert shown.surroundings is None
    gone = Found(hit, Live(Place("acme", "docs", "gone"), "", "", {}))
    (shown,) = await ranking.passages(caller, search, [gone])
    assert shown.surroundings is None


async def test_the_settings_decide_what_a_request_leaves_open(tmp_path: Path) -> None:
    search = Search(expand="section", section_tokens=16)
    async with retriever_on(
        tmp_path, search=search, chunk_tokens=16, chunk_overlap_tokens=0
    ) as retriever:
        await retriever.client.put("guide", GUIDE)
        (full,) = (await retriever.client.search("얼룩말", top_k=1)).body["data"]
        (bare,) = (await retriever.client.search("얼룩말", top_k=1, expand="none")).body["data"]
    assert full["surroundings"]["text"].endswith("이어집니다.")
    assert bare["surroundings"] is None


async def test_repeated_passages_step_back_for_others_when_asked(client: Client) -> None:
    for n in range(4):
        await client.put(f"same{n}", "apple pie recipe with cinnamon and sugar")
    await client.put("other", "apple trees in spring")
    plain = (await client.search("apple pie recipe", top_k=2)).passages
    mixed = (await client.search("apple pie recipe", top_k=2, diversity=0.6)).passages
    assert len(set(plain)) == 1
    assert mixed == [plain[0], "apple trees in spring"]


async def test_a_request_may_weigh_the_two_rankings_itself(client: Client) -> None:
    await client.put("told", "zebra " + "filler words about nothing at all " * 5)
    await client.put("near", "apple pear plum")
    query = "apple pear plum zebra zebra"
    words = {"dense": 0.0, "lexical": 1.0}
    by_words = (await client.search(query, weights=words)).body["data"]
    alone = (await client.search(query, mode="lexical")).body["data"]
    assert [it["score"] for it in by_words] == [it["score"] for it in alone]
    by_meaning = (await client.search(query, weights={"dense": 1, "lexical": 0})).body["data"]
    dense = (await client.search(query, mode="dense")).body["data"]
    assert [it["score"] for it in by_meaning] == [it["score"] for it in dense]
    assert [it["score"] for it in by_meaning] != [it["score"] for it in by_words]


async def test_a_found_answer_is_more_probable_than_none(client: Client) -> None:
    await client.put("a", "apple pie recipe with cinnamon")
    await client.put("b", "pear tart")
    near = (await client.search("apple pie recipe cinnamon", top_k=1)).body["answerability"]
    far = (await client.search("quantum zebra telescope", top_k=1)).body["answerability"]
    assert 0 <= far < near <= 1
    nothing = await client.search("quantum zebra", min_score=0.99)
    assert (nothing.passages, nothing.body["answerability"]) == ([], 0)
