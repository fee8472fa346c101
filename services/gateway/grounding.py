"""What an answer may rest on: the release's retrieval policy, narrowed by the caller."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import structlog

from services.chassis.errors import InvalidRequest, ServiceError, UpstreamTimeout
from services.contracts.assistants import RetrievalPolicy
from services.contracts.chat import RetrievalOverride
from services.contracts.knowledge import (
    CollectionSearch,
    Compound,
    Filter,
    Passage,
    SearchResult,
)
from services.gateway.registry.snapshot import Caller
from services.gateway.resolution import Target

_log = structlog.get_logger(__name__)

Search = Callable[[Caller, CollectionSearch], Awaitable[SearchResult]]
"""Asks the retriever on a caller's behalf."""


class RetrievalNotAllowed(InvalidRequest):
    """The request asks for more retrieval than the release allows."""

    code = "retrieval_not_allowed"


@dataclass(frozen=True, slots=True)
class Grounding:
    """What retrieval gave to one request."""

    state: Literal["off", "found", "empty", "failed"]
    """`off`: not asked for. `empty`: nothing relevant. `failed`: the release answers without."""
    passages: tuple[Passage, ...] = ()
    corpus_revision: int | None = None
    query: str | None = None
    """What was searched for, where that is not the question as it was asked."""
    answerability: float | None = None
    """How probable it is that a passage answers the question."""

    @property
    def asked(self) -> bool:
        """Whether the assistant retrieves at all."""
        return self.state != "off"


UNASKED = Grounding("off")
"""Of a request without retrieval."""


def narrowed(target: Target, override: RetrievalOverride | None) -> RetrievalPolicy | None:
    """Choose what is searched: the release's policy, cut down by the caller's wishes.

    A base or an adapter version that is called directly searches what the caller names.

    Raises:
        RetrievalNotAllowed: when the wish is for more than the release allows.
    """
    if override is None:
        return target.policy
    if not override.enabled:
        return None
    policy = target.policy or _from_scratch(target, override)
    collections = policy.collections if override.collections is None else override.collections
    if foreign := sorted(set(collections) - set(policy.collections)):
        raise RetrievalNotAllowed(
            f"This assistant does not search {', '.join(foreign)}; name collections among "
            f"{', '.join(policy.collections)}.",
            param="retrieval.collections",
        )
    if not collections:
        raise RetrievalNotAllowed(
            "`retrieval.collections` is empty; name one, or send `enabled: false`.",
            param="retrieval.collections",
        )
    return policy.model_copy(
        update={
            "collections": list(collections),
            "top_k": min(policy.top_k, override.top_k or policy.top_k),
            "min_score": _larger(policy.min_score, override.min_score),
            "filter": _both(policy.filter, override.filter),
        }
    )


@dataclass(frozen=True, slots=True)
class Grounder:
    """Retrieves once for a request."""

    search: Search
    timeout_seconds: float
    max_question_characters: int
    """The end of a longer question is searched for."""

    async def ground(
        self,
        caller: Caller,
        policy: RetrievalPolicy | None,
        question: str,
        *,
        rewritten: str | None = None,
    ) -> Grounding:
        """Find the passages for a question.

        Args:
            rewritten: what to search for instead, where the question does not stand alone.

        Raises:
            ServiceError: when retrieval failed and the release does not answer without.
        """
        if policy is None:
            return UNASKED
        query = CollectionSearch(
            query=(rewritten or question).strip()[-self.max_question_characters :],
            collections=policy.collections,
            top_k=policy.top_k,
            min_score=policy.min_score,
            filter=policy.filter,
            mode=policy.mode,
            expand=policy.expand,
            diversity=policy.diversity,
        )
        try:
            result = await self._searched(caller, query)
        except ServiceError as error:
            if error.status < 500 or policy.on_retrieval_failure == "fail":
                raise
            _log.warning("retrieval.failed", code=error.code, reason=error.message)
            return Grounding("failed", query=rewritten)
        passages = () if _unlikely(result, policy) else tuple(result.data)
        state: Literal["found", "empty"] = "found" if passages else "empty"
        return Grounding(state, passages, result.corpus_revision, rewritten, result.answerability)

    async def _searched(self, caller: Caller, query: CollectionSearch) -> SearchResult:
        try:
            async with asyncio.timeout(self.timeout_seconds):
                return await self.search(caller, query)
        except TimeoutError as error:
            raise UpstreamTimeout(
                f"The retriever did not answer within {self.timeout_seconds:g} s; try again.",
                code="retriever_timeout",
            ) from error


def _unlikely(result: SearchResult, policy: RetrievalPolicy) -> bool:
    """Tell whether an answer is too improbable; where nobody estimated it, it is not."""
    least, estimate = policy.min_answerability, result.answerability
    return least is not None and estimate is not None and estimate < least


def _from_scratch(target: Target, override: RetrievalOverride) -> RetrievalPolicy:
    if target.release is not None:
        raise RetrievalNotAllowed(
            "This assistant does not retrieve; leave `retrieval` out.", param="retrieval"
        )
    if not override.collections:
        raise RetrievalNotAllowed(
            f"{target.model!r} has no collections of its own; name them in "
            "`retrieval.collections`.",
            param="retrieval.collections",
        )
    return RetrievalPolicy(
        collections=override.collections,
        top_k=override.top_k or RetrievalPolicy.model_fields["top_k"].default,
    )


def _larger(allowed: float | None, wished: float | None) -> float | None:
    return max((score for score in (allowed, wished) if score is not None), default=None)


def _both(allowed: Filter | None, wished: Filter | None) -> Filter | None:
    if allowed is None or wished is None:
        return allowed or wished
    return Compound(type="and", filters=[allowed, wished])
