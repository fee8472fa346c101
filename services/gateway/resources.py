"""Everything that a gateway process owns, opened and closed in one place."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial

import aiohttp
from prometheus_client import CollectorRegistry

from services.chassis.artifacts import ArtifactStore
from services.chassis.http import Deadlines, Peer, open_session
from services.gateway.adapters.intake import AdapterIntake
from services.gateway.adapters.layout import AdapterLimits
from services.gateway.answering import Answering
from services.gateway.binding import Binding
from services.gateway.chat_resources import open_answering
from services.gateway.clients.prometheus import Prometheus
from services.gateway.clients.retriever import Retriever
from services.gateway.evaluation.judging import open_judging
from services.gateway.evaluation.opening import Evaluations, open_evaluations
from services.gateway.evaluation.trainings import TrainingJudge
from services.gateway.fine_tuning import FineTuningDesk
from services.gateway.knowledge.desks import Desks, loops_of, open_desks
from services.gateway.loops import Loop, running
from services.gateway.previewing import Previewing
from services.gateway.registry import replicas
from services.gateway.registry.adapter_files import AdapterFiles
from services.gateway.registry.bootstrap import register_bootstrap_keys
from services.gateway.registry.changes import Registry
from services.gateway.registry.database import open_database
from services.gateway.registry.gauges import expose_registry, open_adapter_gauge, open_key_gauge
from services.gateway.registry.keeper import SnapshotKeeper
from services.gateway.registry.key_usage import KeyUsage
from services.gateway.registry.listening import FIRST_PAUSE_SECONDS, Listener
from services.gateway.registry.retention import Retention
from services.gateway.registry.schema import migrate
from services.gateway.registry.snapshot import Snapshot
from services.gateway.registry.training_jobs import JobLimits
from services.gateway.rollouts.controller import Controller
from services.gateway.rollouts.desk import RolloutDesk
from services.gateway.rollouts.measuring import Measuring
from services.gateway.rollouts.metrics import RolloutMetrics
from services.gateway.rollouts.moving import Mover
from services.gateway.settings import Settings
from services.gateway.training import TrainingDesk


@dataclass(frozen=True, slots=True)
class Resources:
    """What the gateway's requests and loops work with."""

    registry: Registry
    """The registry: changes go in here."""
    key_usage: KeyUsage
    """Collects when keys were used."""
    retriever: Retriever
    """The way to documents and passages."""
    answering: Answering
    """Answers chat requests."""
    previewing: Previewing
    """Shows the prompts that chat requests would make."""
    intake: AdapterIntake
    """Takes adapters in."""
    training: TrainingDesk
    """Takes training jobs in and their adapters over."""
    fine_tuning: FineTuningDesk
    """Shows them in OpenAI's shape."""
    binding: Binding
    """Changes what assistants serve."""
    rollouts: RolloutDesk
    """Begins rollouts, and moves them by hand."""
    controller: Controller
    """Moves rollouts when their time has come."""
    rollout_metrics: RolloutMetrics
    """Shows where they stand."""
    evaluations: Evaluations
    """Evaluates candidates."""
    knowledge: Desks
    """Answers OpenAI's surfaces of knowledge: embeddings, files, vector stores."""
    metrics: CollectorRegistry
    """What `/metrics` shows."""
    idempotency_ttl_seconds: int
    """How long an `Idempotency-Key` is remembered."""
    heartbeat_seconds: float
    """How often a replica is told to report."""

    @property
    def snapshot(self) -> Snapshot:
        """The registry in memory; take it once per request."""
        return self.registry.keeper.current


@contextlib.asynccontextmanager
async def open_resources(
    settings: Settings, metrics: CollectorRegistry
) -> AsyncIterator[Resources]:
    """Open what the gateway owns; the registry is up to date and in memory before this returns."""
    async with contextlib.AsyncExitStack() as stack:
        registry = await _open_registry(stack, settings)
        moves = RolloutMetrics(
            metrics,
            partial(_snapshot_of, registry.keeper),
            max_labels=settings.limits.metric_label_values,
        )
        registry = replace(registry, heard=moves.heard)
        key_usage = KeyUsage(registry.database)
        stack.push_async_callback(key_usage.close)
        expose_registry(registry.keeper, metrics)
        # A chat request holds two connections at most: to the retriever, then to an engine.
        session = await stack.enter_async_context(
            open_session(connections=2 * settings.limits.max_in_flight)
        )
        retriever = _retriever(session, settings)
        answering = await open_answering(stack, settings, registry, retriever, session, metrics)
        intake = _intake(registry, settings)
        await intake.sweep()
        binding = Binding(registry, settings.warm_timeout_seconds)
        training = _training(settings, registry, intake, binding)
        evaluating = open_evaluations(
            settings.evaluations,
            registry,
            binding,
            answering,
            retriever,
            await open_judging(settings.evaluations, session),
            metrics,
        )
        mover = Mover(settings.warm_timeout_seconds, settings.rollouts.keep_warm_seconds)
        measuring = _measuring(registry, session, settings)
        resources = Resources(
            registry=registry,
            key_usage=key_usage,
            retriever=retriever,
            answering=answering,
            previewing=Previewing(
                answering.snapshot, answering.rewriter, answering.grounder, answering.composer
            ),
            intake=intake,
            training=training,
            fine_tuning=FineTuningDesk(training),
            binding=binding,
            rollouts=RolloutDesk(registry, binding, mover, evaluating.gate, measuring),
            controller=Controller(
                registry, mover, settings.rollouts.lease_seconds, evaluating.gate, measuring
            ),
            rollout_metrics=moves,
            evaluations=evaluating,
            knowledge=open_desks(
                settings, registry, intake.artifacts, retriever, answering.admission, metrics
            ),
            metrics=metrics,
            idempotency_ttl_seconds=settings.idempotency_ttl_seconds,
            heartbeat_seconds=settings.heartbeat_seconds,
        )
        loops = [*_loops(resources, settings), *_listening(registry, metrics)]
        await stack.enter_async_context(running(loops, metrics))
        yield resources


async def _open_registry(stack: contextlib.AsyncExitStack, settings: Settings) -> Registry:
    database = await stack.enter_async_context(
        open_database(settings.registry_url, connections=settings.database_connections)
    )
    await migrate(database)
    keeper = SnapshotKeeper(
        database,
        replica_timeout_seconds=settings.replica_timeout_seconds,
        stable_only_after_seconds=settings.rollouts.stable_only_after_seconds,
    )
    registry = Registry(database, keeper)
    if settings.bootstrap_keys_dir is not None:
        await register_bootstrap_keys(registry, settings.bootstrap_keys_dir)
    await keeper.refresh()
    return registry


def _loops(resources: Resources, settings: Settings) -> tuple[Loop, ...]:
    registry, kept = resources.registry, settings.retention
    retention = Retention(registry, kept.ledger_seconds, kept.batch_rows, kept.lease_seconds)
    files = AdapterFiles(
        registry,
        ArtifactStore(settings.artifact_store_url),
        kept.adapter_files_seconds,
        kept.lease_seconds,
    )
    held = open_adapter_gauge(registry.keeper, resources.metrics)
    expiring = open_key_gauge(
        registry.keeper, resources.metrics, limit=settings.limits.metric_label_values
    )
    tend = partial(replicas.tend, registry, forget_seconds=settings.replica_forget_seconds)
    return (
        Loop("snapshot", settings.snapshot_poll_seconds, registry.keeper.refresh),
        Loop("replicas", settings.heartbeat_seconds, tend),
        Loop("replica_metrics", settings.heartbeat_seconds, held.show),
        Loop("key_metrics", settings.heartbeat_seconds, expiring.show),
        Loop("rollouts", settings.rollouts.look_seconds, resources.controller.look),
        Loop("rollout_metrics", settings.rollouts.look_seconds, resources.rollout_metrics.show),
        Loop(
            "rollout_queries", settings.prometheus.look_seconds, resources.rollouts.measuring.look
        ),
        Loop("key_usage", settings.key_usage_seconds, resources.key_usage.write),
        Loop("adapter_usage", settings.adapter_usage_seconds, resources.answering.usage.write),
        *[
            Loop("shadow", settings.shadow.look_seconds, resources.answering.shadowing.work)
            for _ in range(settings.shadow.concurrent)
        ],
        Loop("content", settings.content.flush_seconds, resources.answering.content.flush),
        Loop("content_expiry", settings.content.sweep_seconds, resources.answering.content.forget),
        Loop("ledger", settings.ledger_flush_seconds, resources.answering.write_ledger),
        Loop(
            "evaluations",
            settings.evaluations.look_seconds,
            resources.evaluations.evaluator.work,
        ),
        Loop("retention", kept.sweep_seconds, retention.sweep),
        Loop("adapter_files", kept.sweep_seconds, files.sweep),
        Loop("replay", settings.evaluations.look_seconds, resources.evaluations.replayer.look),
        *loops_of(resources.knowledge, settings),
    )


def _listening(registry: Registry, metrics: CollectorRegistry) -> list[Loop]:
    """Hear of changes at once where the database can tell; polling does for the embedded one."""
    listener = Listener(registry.database, registry.keeper, metrics)
    told = registry.database.dialect == "postgresql"
    return [Loop("registry_listener", FIRST_PAUSE_SECONDS, listener.listen)] if told else []


def _intake(registry: Registry, settings: Settings) -> AdapterIntake:
    return AdapterIntake(
        registry,
        ArtifactStore(settings.artifact_store_url),
        staging=settings.data_dir / "staging",
        limits=AdapterLimits(settings.max_adapter_bytes, settings.max_adapter_files),
        import_dirs=settings.adapter_import_dirs,
    )


def _training(
    settings: Settings, registry: Registry, intake: AdapterIntake, binding: Binding
) -> TrainingDesk:
    cases, limits = settings.evaluations, settings.training
    return TrainingDesk(
        registry,
        intake.artifacts,
        intake,
        TrainingJudge(binding, cases.max_cases, cases.max_duration_seconds),
        JobLimits(limits.lease_seconds, limits.max_attempts, limits.max_open, limits.max_running),
        intake.staging,
    )


def _snapshot_of(keeper: SnapshotKeeper) -> Snapshot:
    return keeper.current


def _measuring(registry: Registry, session: aiohttp.ClientSession, settings: Settings) -> Measuring:
    asked, prometheus = settings.prometheus, None
    if asked.url is not None:
        deadlines = Deadlines(read=asked.timeout_seconds, total=asked.timeout_seconds)
        token = asked.token.get_secret_value() if asked.token else None
        peer = Peer("prometheus", asked.url.rstrip("/"), session, token, deadlines)
        prometheus = Prometheus(peer, asked.max_reply_bytes)
    return Measuring(registry, prometheus, asked.queries, asked.fresh_seconds)


def _retriever(session: aiohttp.ClientSession, settings: Settings) -> Retriever:
    def peer(seconds: float) -> Peer:
        return Peer(
            "retriever",
            settings.retriever_url.rstrip("/"),
            session,
            settings.retriever_api_key.get_secret_value(),
            Deadlines(read=seconds, total=seconds),
        )

    return Retriever(
        peer(settings.retriever_timeout_seconds), peer(settings.upload_timeout_seconds)
    )
