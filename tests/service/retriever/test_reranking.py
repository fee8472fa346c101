"""A cross-encoder that reads the best candidates once more."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.chassis.telemetry import open_registry
from services.retriever.metrics import open_metrics
from services.retriever.reranking import RerankerUnusableError, open_reranker
from services.retriever.settings import Reranking
from tests.fakes.cross_encoder import make_cross_encoder
from tests.service.retriever.retriever import retriever_on

pytestmark = [
    pytest.mark.anyio,
    # Said by libraries about themselves while a model is loaded.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

TEXTS = ["apple apple", "apple pear", "apple zebra", "apple 사과 배"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder of one output."""
    return make_cross_encoder(tmp_path_factory.mktemp("models") / "reranker")


async def scores_of(model: Path, question: str, texts: list[str]) -> dict[str, float]:
    """What the model says by itself."""
    async with open_reranker(
        Reranking(model=str(model)), model.parent, open_metrics(open_registry())
    ) as reranker:
        assert reranker is not None
        return dict(zip(texts, await reranker.scores(question, texts), strict=True))


async def test_no_model_is_loaded_unless_one_is_named(tmp_path: Path) -> None:
    async with open_reranker(Reranking(), tmp_path, open_metrics(open_registry())) as reranker:
        assert reranker is None


async def test_a_model_with_several_scores_for_a_pair_is_refused(tmp_path: Path) -> None:
    model = make_cross_encoder(tmp_path / "reranker", outputs=3)
    with pytest.raises(RerankerUnusableError, match="gives 3 scores"):
        await scores_of(model, "apple", TEXTS)


async def test_passages_stand_in_the_models_order_with_its_scores(
    model: Path, tmp_path: Path
) -> None:
    # A title of its own line stands above each text in what the model reads.
    expected = await scores_of(model, "apple", [f"\n{text}" for text in TEXTS])
    assert len({round(score, 4) for score in expected.values()}) == len(TEXTS)
    async with retriever_on(tmp_path, reranking=Reranking(model=str(model))) as retriever:
        for at, text in enumerate(TEXTS):
            await retriever.client.put(f"d{at}", text)
        found = (await retriever.client.search("apple", top_k=4)).body["data"]
        best = (await retriever.client.search("apple", top_k=1)).body["data"]
        counted = await retriever.client.metric("inkstone_rerank_seconds_count")
    told = {f"\n{passage['text']}": passage["score"] for passage in found}
    assert told == pytest.approx(expected, abs=1e-4)
    assert list(told) == sorted(expected, key=lambda text: -expected[text])
    assert best == found[:1]
    assert counted == 2


async def test_only_the_first_candidates_are_read_but_as_many_as_are_shown(
    model: Path, tmp_path: Path
) -> None:
    reranking = Reranking(model=str(model), candidates=2)
    async with retriever_on(tmp_path, reranking=reranking) as retriever:
        for at, text in enumerate(TEXTS):
            await retriever.client.put(f"d{at}", text)
        assert len((await retriever.client.search("apple", top_k=4)).passages) == 4
