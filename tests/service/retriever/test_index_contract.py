"""What every index engine must do alike.

The embedded engine runs as in production, in its child process. The server engine runs on
qdrant-client's local mode, a stand-in in pure Python: no Qdrant server is at hand where these tests
run, so its network, its HNSW graph and its own restart are not covered here.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from qdrant_client import AsyncQdrantClient

from services.chassis.telemetry import open_registry
from services.contracts.knowledge import Filter
from services.retriever.filters import filter_condition
from services.retriever.fusion import Weights
from services.retriever.index.edge import open_edge_index
from services.retriever.index.port import (
    REVISION,
    AnyOf,
    ChunkPoint,
    Condition,
    Index,
)
from services.retriever.index.server import ServerIndex
from services.retriever.metrics import open_metrics
from services.retriever.settings import Cluster
from tests.service.retriever.points import DIMENSIONS, direction, point, question

pytestmark = [
    pytest.mark.anyio,
    # The stand-in says that it has no payload indexes; filtering works without them.
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning"),
]


@pytest.fixture(scope="module", params=["edge", "server"])
async def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Index]:
    metrics = open_metrics(open_registry())
    if request.param == "edge":
        folder = tmp_path_factory.mktemp("index")
        async with open_edge_index(folder, DIMENSIONS, metrics, 5.0) as edge:
            yield edge
        return
    client = AsyncQdrantClient(":memory:")
    server = ServerIndex(client, "inkstone", metrics)
    await server.prepare(DIMENSIONS, Cluster())
    yield server
    await client.close()


@pytest.fixture
async def index(engine: Index) -> AsyncIterator[Index]:
    """An empty index."""
    yield engine
    if revisions := await engine.revisions():
        await engine.delete(AnyOf(REVISION, tuple(revisions)))


async def texts(index: Index, *arguments: Any, **options: Any) -> list[str]:
    """Search, and keep only what was found."""
    hits = await index.search(question(*arguments, **options))
    return [hit.content["text"] for hit in hits]


def metadata_filter(wanted: dict[str, Any]) -> Condition:
    parsed: Filter = TypeAdapter(Filter).validate_python(wanted)
    return filter_condition(parsed, max_conditions=64)


async def test_the_nearest_by_meaning_comes_first(index: Index) -> None:
    await index.upsert(
        [point("far", degrees=80), point("near", degrees=10), point("mid", degrees=40)]
    )
    assert await texts(index, "nothing shared", mode="dense") == ["near", "mid", "far"]


async def test_the_similarity_is_the_cosine(index: Index) -> None:
    await index.upsert([point("far", degrees=60)])
    (hit,) = await index.search(question("nothing shared", mode="dense"))
    assert hit.similarity == pytest.approx(0.5, abs=1e-5)


async def test_the_rarer_word_counts_more(index: Index) -> None:
    await index.upsert(
        [
            point("common words everywhere"),
            point("common words again"),
            point("common words and a zebra"),
        ]
    )
    assert (await texts(index, "common zebra", mode="lexical"))[0] == "common words and a zebra"


async def test_a_word_is_as_rare_as_it_is_among_the_callers_own_documents(index: Index) -> None:
    """Among all points `apple` is the commoner word, among the caller's own it is the rarer."""
    crowd = [point(f"apple {n}", tenant="crowd", revision=n) for n in range(20)]
    mine = [point("apple one"), point("plum two"), point("plum three")]
    await index.upsert([*crowd, *mine])
    assert (await texts(index, "plum apple", mode="lexical"))[0] == "apple one"


async def test_lexical_search_finds_nothing_without_a_common_word(index: Index) -> None:
    await index.upsert([point("apple"), point("pear")])
    assert await texts(index, "zebra", mode="lexical") == []


async def test_a_passage_found_by_words_only_has_its_similarity_too(index: Index) -> None:
    near = [point(f"filler {n}", degrees=n, revision=n + 1) for n in range(5)]
    await index.upsert([*near, point("the zebra", degrees=60, revision=99)])
    hits = await index.search(question("zebra", prefetch=3))
    (zebra,) = [hit for hit in hits if hit.content["text"] == "the zebra"]
    assert zebra.similarity == pytest.approx(0.5, abs=1e-5)


async def test_what_both_rankings_find_comes_before_what_one_finds(index: Index) -> None:
    await index.upsert(
        [
            point("only close", degrees=0),
            point("zebra close", degrees=5),
            point("zebra far", degrees=85),
        ]
    )
    assert (await texts(index, "zebra", degrees=0))[0] == "zebra close"


async def test_korean_is_found_in_another_inflection(index: Index) -> None:
    await index.upsert(
        [point("반품은 14일 이내에 가능합니다"), point("배송비는 고객이 부담합니다")]
    )
    assert await texts(index, "반품이 되나요", mode="lexical") == ["반품은 14일 이내에 가능합니다"]


async def test_a_passage_that_is_not_similar_enough_takes_no_place(index: Index) -> None:
    await index.upsert(
        [
            point("zebra zebra", degrees=80),
            point("plain", degrees=20),
            point("plainer", degrees=30),
        ]
    )
    found = await texts(index, "zebra", min_similarity=0.5, limit=2)
    assert found == ["plain", "plainer"]


async def test_several_collections_are_ranked_as_one(index: Index) -> None:
    places = [("red", 10), ("green", 20), ("blue", 30), ("red", 40), ("green", 50), ("blue", 60)]
    points = [
        point(f"apple {n}", collection=collection, degrees=degrees, revision=n)
        for n, (collection, degrees) in enumerate(places)
    ]
    await index.upsert(points)
    asked = question("apple", mode="dense", collections=("red", "blue", "red"), prefetch=3)
    found = [hit.revision for hit in await index.search(asked)]
    assert found == [0, 2, 3]


async def test_a_hit_brings_its_vector_only_when_asked(index: Index) -> None:
    await index.upsert([point("zebra", degrees=60), point("horse", degrees=30)])
    (zebra, horse) = await index.search(question("zebra", degrees=60, with_vectors=True))
    assert zebra.dense == pytest.approx(direction(60), abs=1e-6)
    assert horse.dense == pytest.approx(direction(30), abs=1e-6)
    assert {hit.dense for hit in await index.search(question("zebra"))} == {()}


async def test_no_search_sees_another_tenant_or_collection(index: Index) -> None:
    await index.upsert(
        [
            point("zebra mine"),
            point("zebra theirs", tenant="rival"),
            point("zebra elsewhere", collection="other"),
        ]
    )
    for mode in ("dense", "lexical", "hybrid"):
        assert await texts(index, "zebra", mode=mode) == ["zebra mine"]


async def test_one_search_covers_several_collections(index: Index) -> None:
    await index.upsert([point("zebra one", collection="a"), point("zebra two", collection="b")])
    found = await texts(index, "zebra", collections=["a", "b"])
    assert sorted(found) == ["zebra one", "zebra two"]


async def test_a_restricted_passage_is_seen_by_its_groups_only(index: Index) -> None:
    await index.upsert(
        [
            point("zebra for all"),
            point("zebra for staff", groups=["staff"]),
            point("zebra for 인사팀", groups=["인사팀", "board"]),
        ]
    )
    assert await texts(index, "zebra") == ["zebra for all"]
    assert sorted(await texts(index, "zebra", groups=["staff"])) == [
        "zebra for all",
        "zebra for staff",
    ]
    assert sorted(await texts(index, "zebra", groups=["인사팀"])) == [
        "zebra for all",
        "zebra for 인사팀",
    ]


async def test_one_of_very_many_groups_opens_what_it_opens(index: Index) -> None:
    await index.upsert(
        [point("zebra of one", groups=["g7"]), point("zebra of another", groups=["h"])]
    )
    many = [f"g{n}" for n in range(100)]
    assert await texts(index, "zebra", groups=many) == ["zebra of one"]
    assert await texts(index, "zebra", groups=many, collections=["docs", "more"]) == [
        "zebra of one"
    ]


async def test_a_group_named_like_everybody_opens_nothing(index: Index) -> None:
    await index.upsert([point("zebra for stars", groups=["*"])])
    assert await texts(index, "zebra") == []
    assert await texts(index, "zebra", groups=["*"]) == ["zebra for stars"]


YEARS: list[tuple[str, dict[str, Any]]] = [
    ("one", {"year": 2021, "lang": "ko", "day": "2024-03-01", "tags": ["a", "b"], "draft": True}),
    ("two", {"year": 2022.5, "lang": "en", "day": "2024-04-01T12:00:00+09:00", "tags": ["b"]}),
    ("three", {"lang": "en", "year": "2021", "draft": False}),
]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"type": "eq", "key": "lang", "value": "en"}, {"two", "three"}),
        ({"type": "eq", "key": "year", "value": 2021}, {"one"}),
        ({"type": "eq", "key": "year", "value": 2021.0}, {"one"}),
        ({"type": "eq", "key": "year", "value": "2021"}, {"three"}),
        ({"type": "eq", "key": "draft", "value": True}, {"one"}),
        ({"type": "eq", "key": "draft", "value": 1}, set()),
        ({"type": "eq", "key": "tags", "value": "b"}, {"one", "two"}),
        ({"type": "ne", "key": "lang", "value": "en"}, {"one"}),
        ({"type": "ne", "key": "draft", "value": True}, {"two", "three"}),
        ({"type": "gt", "key": "year", "value": 2021}, {"two"}),
        ({"type": "gte", "key": "year", "value": 2021}, {"one", "two"}),
        ({"type": "lt", "key": "year", "value": 2022.5}, {"one"}),
        ({"type": "lte", "key": "year", "value": 2022.5}, {"one", "two"}),
        ({"type": "gte", "key": "day", "value": "2024-03-15"}, {"two"}),
        ({"type": "lt", "key": "day", "value": "2024-04-01T03:00:01Z"}, {"one", "two"}),
        ({"type": "in", "key": "lang", "value": ["ko", "fr"]}, {"one"}),
        ({"type": "in", "key": "year", "value": ["2021", 2022.5]}, {"two", "three"}),
        ({"type": "nin", "key": "lang", "value": ["ko", "fr"]}, {"two", "three"}),
        ({"type": "not", "filter": {"type": "eq", "key": "lang", "value": "en"}}, {"one"}),
        (
            {
                "type": "and",
                "filters": [
                    {"type": "eq", "key": "lang", "value": "en"},
                    {"type": "gt", "key": "year", "value": 0},
                ],
            },
            {"two"},
        ),
        (
            {
                "type": "or",
                "filters": [
                    {"type": "eq", "key": "lang", "value": "ko"},
                    {"type": "eq", "key": "year", "value": "2021"},
                ],
            },
            {"one", "three"},
        ),
        (
            {
                "type": "not",
                "filter": {
                    "type": "or",
                    "filters": [
                        {"type": "eq", "key": "lang", "value": "ko"},
                        {"type": "gt", "key": "year", "value": 0},
                    ],
                },
            },
            {"three"},
        ),
    ],
)
async def test_metadata_filters(index: Index, wanted: dict[str, Any], expected: set[str]) -> None:
    await index.upsert([point(name, metadata=metadata) for name, metadata in YEARS])
    where = metadata_filter(wanted)
    for mode in ("dense", "hybrid"):
        found = await texts(index, "one two three", where=where, mode=mode)
        assert set(found) == expected


@pytest.mark.parametrize(
    "key", ["scope", "groups", "numbers.x", "a].b", '"', "키.값", "content", "*", "a[]"]
)
async def test_no_metadata_key_reaches_another_field(index: Index, key: str) -> None:
    await index.upsert(
        [point("mine", metadata={key: "v"}), point("theirs", tenant="rival", metadata={key: "v"})]
    )
    equal = metadata_filter({"type": "eq", "key": key, "value": "v"})
    assert await texts(index, "mine theirs", where=equal) == ["mine"]
    forged = metadata_filter({"type": "eq", "key": key, "value": "rival/docs"})
    assert await texts(index, "mine theirs", where=forged) == []


async def test_writing_a_point_again_replaces_it(index: Index) -> None:
    await index.upsert([point("same", content={"page": 1})])
    await index.upsert([point("same", content={"page": 2})])
    (hit,) = await index.search(question("same"))
    assert hit.content == {"text": "same", "page": 2}
    assert await index.count() == 1


async def test_a_revision_is_deleted_whole_and_alone(index: Index) -> None:
    await index.upsert([point(f"a{n}", revision=1) for n in range(3)])
    await index.upsert([point(f"b{n}", revision=2) for n in range(2)])
    assert await index.revisions() == {1: 3, 2: 2}
    await index.delete(AnyOf(REVISION, (1,)))
    assert await index.revisions() == {2: 2}
    assert await index.count(AnyOf(REVISION, (1,))) == 0


async def test_an_empty_index_answers(index: Index) -> None:
    assert await index.search(question("anything")) == []
    assert await index.count() == 0
    assert await index.revisions() == {}
    await index.delete(AnyOf(REVISION, (1,)))
    await index.flush()


async def test_a_question_without_words_is_answered_by_meaning(index: Index) -> None:
    await index.upsert([point("something")])
    assert await texts(index, "?!") == ["something"]
    assert await texts(index, "?!", mode="lexical") == []


async def test_points_come_back_whole_page_by_page(index: Index) -> None:
    metadata: dict[str, Any] = {"year": 2021, "lang": "ko", "day": "2024-03-01", "tags": ["a", "b"]}
    stored = [
        point(
            f"zebra {n} 반품", degrees=n * 20, revision=n, groups=["staff"] * n, metadata=metadata
        )
        for n in range(5)
    ]
    await index.upsert(stored)
    found: list[ChunkPoint] = []
    after: str | None = None
    while True:
        page, after = await index.points(after, 2)
        assert len(page) <= 2
        found += page
        if after is None:
            break
    assert [it.id for it in found] == sorted(it.id for it in stored)
    for ours, theirs in zip(sorted(stored, key=lambda it: it.id), found, strict=True):
        assert theirs.dense == pytest.approx(ours.dense, abs=1e-6)
        assert dict(zip(theirs.lexical.indices, theirs.lexical.values, strict=True)) == (
            pytest.approx(dict(zip(ours.lexical.indices, ours.lexical.values, strict=True)))
        )
        plain = replace(theirs, dense=ours.dense, lexical=ours.lexical)
        assert plain == replace(ours, content=plain.content)
        assert dict(plain.content) == dict(ours.content)


async def test_searches_at_once_find_what_each_finds_alone(index: Index) -> None:
    words = ["zebra", "apple", "pear", "반품", "배송"]
    await index.upsert(
        [
            point(f"{word} {n}", degrees=n * 17 % 90, tenant=tenant, revision=n)
            for n, word in enumerate(words)
            for tenant in ("acme", "globex")
        ]
    )
    asked = [
        question(text, degrees=degrees, tenant=tenant, mode=mode, limit=limit, with_vectors=vectors)
        for text, degrees, tenant in (
            ("zebra", 0, "acme"),
            ("반품은 pear", 60, "globex"),
            ("", 3, "x"),
        )
        for mode in ("dense", "lexical", "hybrid")
        for limit, vectors in ((2, False), (9, True))
    ]
    alone = [await index.search(each) for each in asked]
    assert await asyncio.gather(*map(index.search, asked)) == alone
    assert any(alone)


async def test_a_search_that_cannot_be_answered_fails_alone(index: Index) -> None:
    await index.upsert([point("zebra")])
    good, bad = question("zebra"), replace(question("zebra"), dense=[1.0, 0.0])
    found = await asyncio.gather(
        *(index.search(each) for each in (good, good, bad, good)), return_exceptions=True
    )
    assert [isinstance(each, Exception) for each in found] == [False, False, True, False]


async def test_a_tuned_index_answers_and_is_not_worn(index: Index) -> None:
    await index.upsert([point("zebra one"), point("zebra two", degrees=50)])
    before = await index.search(question("zebra"))
    await index.tune()
    assert await index.search(question("zebra")) == before
    assert (await index.wear()).changed == 0


async def test_both_engines_give_the_same_scores(tmp_path: Path) -> None:
    words = ["zebra", "apple", "pear", "반품", "배송", "E-1042", "plum"]
    points = [
        point(
            " ".join(words[(n * step) % len(words)] for step in range(1, 5)),
            degrees=n * 7 % 90,
            revision=n,
            metadata={"n": n},
        )
        for n in range(60)
    ]
    metrics = open_metrics(open_registry())
    client = AsyncQdrantClient(":memory:")
    server = ServerIndex(client, "inkstone", metrics)
    await server.prepare(DIMENSIONS, Cluster())
    async with open_edge_index(tmp_path / "index", DIMENSIONS, metrics, 5.0) as edge:
        for engine in (edge, server):
            await engine.upsert(points)
        for text in ("zebra 반품은", "E-1042 pear", "plum", "nothing known"):
            for mode in ("dense", "lexical", "hybrid"):
                asked = question(text, degrees=33, mode=mode, prefetch=100, limit=100)
                asked = replace(asked, weights=Weights(dense=0.5, lexical=2.0))
                ours, theirs = await edge.search(asked), await server.search(asked)
                other = {hit.id: hit for hit in theirs}
                assert other.keys() == {hit.id for hit in ours}
                for place, hit in enumerate(ours):
                    assert math.isclose(hit.score, other[hit.id].score, abs_tol=1e-4)
                    assert math.isclose(hit.similarity, other[hit.id].similarity, abs_tol=1e-4)
                    assert math.isclose(hit.score, theirs[place].score, abs_tol=1e-4)
    await client.close()
