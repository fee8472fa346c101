"""Retrieval for one request: wishes only narrow, and a failure does what the release says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.chassis.errors import (
    InvalidRequest,
    NotFound,
    ServiceError,
    Unavailable,
    UpstreamTimeout,
)
from services.contracts.assistants import RetrievalPolicy
from services.contracts.chat import RetrievalOverride
from services.contracts.knowledge import (
    CollectionSearch,
    Comparison,
    Compound,
    Passage,
    SearchResult,
    SearchTimings,
)
from services.gateway.grounding import Grounder, Grounding, narrowed
from services.gateway.registry.snapshot import Caller
from services.gateway.resolution import Target
from tests.fakes.retriever import passage
from tests.unit.gateway.registry_parts import caller, release

pytestmark = pytest.mark.anyio

KOREAN = Comparison(type="eq", key="lang", value="ko")
RECENT = Comparison(type="gte", key="year", value=2024)
POLICY = RetrievalPolicy(collections=["a", "b"], top_k=5, min_score=0.5, filter=KOREAN)
ASSISTANT = Target("support", None, release(retrieval=POLICY))
PLAIN = Target("support", None, release())
DIRECT = Target("base", None, None)


def narrow(target: Target = ASSISTANT, **wish: Any) -> RetrievalPolicy | None:
    return narrowed(target, RetrievalOverride(**wish))


def refused(target: Target = ASSISTANT, **wish: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        narrow(target, **wish)
    assert caught.value.code == "retrieval_not_allowed"
    return caught.value


def test_without_a_wish_the_policy_holds() -> None:
    assert narrowed(ASSISTANT, None) == POLICY
    assert narrow() == POLICY
    assert narrowed(PLAIN, None) is None
    assert narrowed(DIRECT, None) is None


def test_retrieval_can_be_switched_off() -> None:
    assert narrow(enabled=False) is None
    assert narrow(PLAIN, enabled=False) is None


def test_a_wish_narrows() -> None:
    policy = narrow(collections=["b"], top_k=2, min_score=0.8, filter=RECENT)
    assert policy is not None
    assert (policy.collections, policy.top_k, policy.min_score) == (["b"], 2, 0.8)
    assert policy.filter == Compound(type="and", filters=[KOREAN, RECENT])


def test_a_wish_never_widens() -> None:
    policy = narrow(top_k=50, min_score=0.1)
    assert policy is not None
    assert (policy.collections, policy.top_k, policy.min_score) == (["a", "b"], 5, 0.5)
    assert policy.filter == KOREAN


def test_a_foreign_collection_is_refused_by_name() -> None:
    error = refused(collections=["a", "secret"])
    assert error.param == "retrieval.collections"
    assert "secret" in error.message
    assert "a, b" in error.message


def test_no_collection_at_all_is_refused() -> None:
    assert refused(collections=[]).param == "retrieval.collections"


def test_an_assistant_without_retrieval_takes_no_wish() -> None:
    assert refused(PLAIN, collections=["a"]).param == "retrieval"


def test_a_direct_call_searches_what_it_names() -> None:
    policy = narrow(DIRECT, collections=["a"], min_score=0.3, filter=RECENT)
    assert policy is not None
    assert (policy.collections, policy.min_score, policy.filter) == (["a"], 0.3, RECENT)
    wide = narrow(DIRECT, collections=["a"], top_k=20)
    assert wide is not None
    assert wide.top_k == 20
    assert refused(DIRECT).param == "retrieval.collections"


async def ground(
    *passages: Passage,
    failure: ServiceError | None = None,
    policy: RetrievalPolicy | None = POLICY,
    question: str = "환불은?",
    seen: list[CollectionSearch] | None = None,
    hangs: bool = False,
) -> Grounding:
    async def search(_: Caller, query: CollectionSearch) -> SearchResult:
        if seen is not None:
            seen.append(query)
        if failure:
            raise failure
        if hangs:
            await asyncio.Event().wait()
        timings = SearchTimings(embed_ms=1, search_ms=1, total_ms=2)
        return SearchResult(data=list(passages), corpus_revision=3, timings=timings)

    grounder = Grounder(search, timeout_seconds=0.05 if hangs else 5, max_question_characters=10)
    return await grounder.ground(caller(), policy, question)


async def test_found_passages_ground_the_answer() -> None:
    found = await ground(passage("30 days"))
    assert (found.state, len(found.passages), found.corpus_revision) == ("found", 1, 3)


async def test_nothing_found_is_not_a_failure() -> None:
    assert (await ground()).state == "empty"


async def test_without_a_policy_nothing_is_asked() -> None:
    seen: list[CollectionSearch] = []
    assert (await ground(policy=None, seen=seen)).state == "off"
    assert seen == []


async def test_the_end_of_a_long_question_is_searched_for() -> None:
    seen: list[CollectionSearch] = []
    await ground(question="x" * 50 + "the end? \n", seen=seen)
    assert seen[0].query == "xxthe end?"
    assert seen[0].collections == ["a", "b"]


@pytest.mark.parametrize("failure", [Unavailable("down"), UpstreamTimeout("slow")])
async def test_a_failure_fails_unless_the_release_says_otherwise(failure: ServiceError) -> None:
    with pytest.raises(type(failure)):
        await ground(failure=failure)
    lenient = POLICY.model_copy(update={"on_retrieval_failure": "answer_ungrounded"})
    assert (await ground(failure=failure, policy=lenient)).state == "failed"


async def test_an_unknown_collection_is_the_callers_error_all_the_same() -> None:
    lenient = POLICY.model_copy(update={"on_retrieval_failure": "answer_ungrounded"})
    with pytest.raises(NotFound):
        await ground(failure=NotFound("no such collection"), policy=lenient)


async def test_a_slow_retriever_is_a_timeout() -> None:
    with pytest.raises(UpstreamTimeout) as caught:
        await ground(hangs=True)
    assert caught.value.code == "retriever_timeout"
