"""Opening what evaluations work with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry, Counter

from services.contracts.knowledge import EmbeddingRequest
from services.domain.evaluation.answers import Vector
from services.gateway.answering import Answering
from services.gateway.binding import Binding
from services.gateway.clients.retriever import Retriever
from services.gateway.evaluation.asking import Asker
from services.gateway.evaluation.desk import EvaluationDesk
from services.gateway.evaluation.gate import EvaluationGate
from services.gateway.evaluation.judging import Judging
from services.gateway.evaluation.replaying import Replayer
from services.gateway.evaluation.working import Evaluator
from services.gateway.registry.changes import Registry
from services.gateway.registry.snapshot import Caller
from services.gateway.settings import EvaluationLimits


@dataclass(frozen=True, slots=True)
class Evaluations:
    """What evaluates candidates."""

    desk: EvaluationDesk
    """Takes sets in and begins evaluations."""
    gate: EvaluationGate
    """Holds the gates of rollouts."""
    evaluator: Evaluator
    """Asks the cases, beside the requests."""
    replayer: Replayer
    """Asks cases of canaries that have few callers."""


def open_evaluations(
    limits: EvaluationLimits,
    registry: Registry,
    binding: Binding,
    answering: Answering,
    retriever: Retriever,
    judging: Judging,
    metrics: CollectorRegistry,
) -> Evaluations:
    """Make what evaluates; it owns nothing that needs closing."""
    asker = Asker(
        answering.snapshot,
        answering.rewriter,
        answering.grounder,
        answering.composer,
        answering.generation,
        partial(_embedded, retriever),
        judging,
        callers_beside=limits.callers_beside,
        timeout_seconds=limits.timeout_seconds,
    )
    asked = Counter(
        "inkstone_evaluation_cases_total",
        "Cases of evaluations that both arms answered.",
        registry=metrics,
    )
    replayed = Counter(
        "inkstone_replayed_cases_total",
        "Cases that were asked of both arms of a rollout, beside its callers.",
        registry=metrics,
    )
    return Evaluations(
        EvaluationDesk(registry, binding, judging, limits.max_cases, limits.max_duration_seconds),
        EvaluationGate(registry),
        Evaluator(registry, asker, limits.concurrent, limits.lease_seconds, asked),
        Replayer(registry, asker, limits.lease_seconds, replayed),
    )


async def _embedded(retriever: Retriever, caller: Caller, texts: Sequence[str]) -> Sequence[Vector]:
    return (await retriever.embed(caller, EmbeddingRequest(input=list(texts)))).data
