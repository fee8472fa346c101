"""What one request used and how long each stage took, kept while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict
from uuid import uuid4

from services.chassis.errors import ServiceError
from services.contracts.chat import ChatRequest
from services.gateway.grounding import UNASKED, Grounding
from services.gateway.registry.ledger import LedgerRow
from services.gateway.registry.snapshot import Caller
from services.gateway.resolution import Target

CLIENT_GONE_STATUS = 499
"""Stands in ledger and metrics for an answer that its app did not wait for."""

Stage = Literal["admit", "rewrite", "retrieve", "compose", "first_token", "generate", "cite"]


class _Timings(TypedDict):
    """The fields of the contract's `Timings`, which the ledger has under the same names."""

    admit_ms: float
    rewrite_ms: float
    retrieve_ms: float
    compose_ms: float
    first_token_ms: float
    generate_ms: float
    total_ms: float


@dataclass(slots=True)
class Usage:
    """Tokens of one answer."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    rewriting: Usage | None = None
    """What was used before, to write the question that was searched for."""

    def read(self, reported: dict[str, Any]) -> None:
        """Take over what an engine reports for the answer so far."""
        details = reported.get("prompt_tokens_details") or {}
        self.prompt = reported.get("prompt_tokens") or 0
        self.completion = reported.get("completion_tokens") or 0
        self.cached = details.get("cached_tokens") or 0

    @property
    def all(self) -> Usage:
        """Everything that the request used, which is what it costs."""
        if self.rewriting is None:
            return self
        before = self.rewriting
        return Usage(
            self.prompt + before.prompt,
            self.cached + before.cached,
            self.completion + before.completion,
        )

    def as_openai(self) -> dict[str, Any]:
        """Write OpenAI's usage object."""
        used = self.all
        return {
            "prompt_tokens": used.prompt,
            "completion_tokens": used.completion,
            "total_tokens": used.prompt + used.completion,
            "prompt_tokens_details": {"cached_tokens": used.cached},
        }


@dataclass(slots=True)
class Account:
    """The running account of one request: ledger, metrics and reply are made from it."""

    caller: Caller
    request_id: str
    at: float = field(default_factory=time.time)
    started: float = field(default_factory=time.perf_counter)
    id: str = field(default_factory=lambda: uuid4().hex)
    """Of the ledger's row."""
    copy_of: str | None = None
    """Of a copy that the candidate answers unseen: the row of the request that was copied."""
    target: Target | None = None
    request: ChatRequest | None = None
    streamed: bool = False
    overridden: bool = False
    caller_system: bool = False
    disconnected: bool = False
    replica: str | None = None
    status: int = 200
    error_code: str | None = None
    outcome: Literal["answered", "abstained", "escalate"] | None = None
    grounding: Grounding = UNASKED
    follow_up: Literal["joined", "rewritten", "fell_back"] | None = None
    """How the searched question was made to stand alone; None when it was left as it is."""
    passages: int = 0
    """How many passages stood in the prompt."""
    cited: int = 0
    invalid_citations: int = 0
    support: float | None = None
    """How well its sentences are supported by what they cite, 0 to 1; None when nothing is cited,
    or nothing tells which sentence cites what."""
    usage: Usage = field(default_factory=Usage)
    cost_usd: float = 0.0
    stages: dict[Stage, float] = field(default_factory=dict)
    """Seconds by stage."""
    total: float = 0.0
    streamed_tokens: int = 0
    token_wait: float = 0.0
    """Seconds for which a stream waited for its engine after the first token; an app that reads
    slowly is not in it."""
    choices: int = 1
    """How many answers the engine writes side by side."""
    question: str = ""
    """The text of the last user turn."""
    answer: Callable[[], list[str]] | None = None
    """Reads the answer's texts, one for each choice, when it is complete."""
    prompt_estimate: Callable[[], int] | None = None
    """Counts the prompt that an engine was sent, should the engine never report it."""
    _stage_began: float = 0.0

    def begin(self, target: Target, request: ChatRequest) -> None:
        """Note what was asked for."""
        self.target, self.request = target, request
        self.streamed = request.stream
        self.overridden = target.steered or (
            request.retrieval is not None and target.release is not None
        )

    def finish(self, stage: Stage) -> None:
        """Note that a stage is over; the next one begins now."""
        now = time.perf_counter()
        self.stages[stage] = now - (self._stage_began or self.started)
        self._stage_began = now

    def fail(self, error: ServiceError) -> None:
        """Note what went wrong."""
        self.status, self.error_code = error.status, error.code

    def leave(self) -> None:
        """Note that the app went away."""
        self.disconnected = True
        if self.prompt_estimate and not self.usage.prompt:
            self.usage.prompt = self.prompt_estimate()
        self.status, self.error_code = CLIENT_GONE_STATUS, "client_gone"

    def close(self) -> None:
        """Stop the clock."""
        self.total = time.perf_counter() - self.started

    @property
    def first_token_after(self) -> float:
        """Seconds from the request's arrival to the first token."""
        return sum(v for stage, v in self.stages.items() if stage not in ("generate", "cite"))

    @property
    def inter_token_ms(self) -> float | None:
        """Milliseconds from one token of a stream to the next, on average; None without two."""
        later = self.usage.completion / self.choices - 1
        if not self.streamed_tokens or later < 1:
            return None
        return round(self.token_wait * 1000 / later, 3)

    @property
    def grounded(self) -> bool:
        """Whether the answer rests on passages, or says that there are none."""
        return self.passages > 0 or self.grounding.state == "empty"

    def block(self) -> dict[str, Any]:
        """Write the reply's `inkstone` block, the fields of `InkstoneBlock`."""
        release = self.target.release if self.target else None
        return {
            "request_id": self.request_id,
            "assistant": release.assistant if release else None,
            "release": release.id if release else None,
            "arm": self.target.arm if self.target else "stable",
            "adapter": self.target.adapter if self.target else None,
            "replica": self.replica,
            "outcome": self.outcome or "answered",
            "invalid_citations": self.invalid_citations,
            "support": self.support,
            "timings": self._timings(),
            "retrieval": {
                "enabled": self.grounding.asked,
                "grounded": self.grounded,
                "passages": self.passages,
                "dropped": len(self.grounding.passages) - self.passages,
                "corpus_revision": self.grounding.corpus_revision,
                "query": self.grounding.query,
                "answerability": self.grounding.answerability,
            },
            "cost_usd": self.cost_usd,
        }

    def row(self) -> LedgerRow:
        """Write the ledger's row."""
        release = self.target.release if self.target else None
        used = self.usage.all
        return LedgerRow(
            id=self.id,
            copy_of=self.copy_of,
            at=self.at,
            tenant=self.caller.tenant,
            key_id=self.caller.key_id,
            request_id=self.request_id,
            assistant=release.assistant if release else None,
            release=release.id if release else None,
            arm=self.target.arm if self.target else "stable",
            adapter=self.target.adapter if self.target else None,
            replica=self.replica,
            status=self.status,
            outcome=self.outcome,
            error_code=self.error_code,
            prompt_tokens=used.prompt,
            cached_tokens=used.cached,
            completion_tokens=used.completion,
            cost_usd=self.cost_usd,
            **self._timings(),
            inter_token_ms=self.inter_token_ms,
            passages=self.passages,
            cited=self.cited,
            invalid_citations=self.invalid_citations,
            support=self.support,
            corpus_revision=self.grounding.corpus_revision,
            streamed=self.streamed,
            disconnected=self.disconnected,
            overridden=self.overridden,
            caller_system=self.caller_system,
        )

    def _timings(self) -> _Timings:
        total = self.total or time.perf_counter() - self.started
        return {
            "admit_ms": self._milliseconds("admit"),
            "rewrite_ms": self._milliseconds("rewrite"),
            "retrieve_ms": self._milliseconds("retrieve"),
            "compose_ms": self._milliseconds("compose"),
            "first_token_ms": self._milliseconds("first_token"),
            "generate_ms": self._milliseconds("generate"),
            "total_ms": round(total * 1000, 3),
        }

    def _milliseconds(self, stage: Stage) -> float:
        """Say how long a stage took; 0 when it did not happen."""
        return round(self.stages.get(stage, 0.0) * 1000, 3)
