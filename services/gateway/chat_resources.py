"""Opening what chat requests work with."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from functools import partial

import aiohttp
from prometheus_client import CollectorRegistry

from services.domain.pricing import Prices
from services.gateway.admission import Admission
from services.gateway.answering import Answering
from services.gateway.clients.engine import EngineClient, EngineDeadlines
from services.gateway.clients.retriever import Retriever
from services.gateway.composition import Composer
from services.gateway.content import ContentBounds, open_content_store
from services.gateway.context import Fitter
from services.gateway.counting import open_counter
from services.gateway.generation import Generation
from services.gateway.grounding import Grounder
from services.gateway.metering import LedgerQueue, Meter, dropped_counter
from services.gateway.metrics import ChatMetrics, expose_gauges
from services.gateway.registry import ledger
from services.gateway.registry.adapter_usage import AdapterUsage
from services.gateway.registry.changes import Registry
from services.gateway.registry.snapshot import Snapshot
from services.gateway.rewriting import Rewriter
from services.gateway.rollouts.shadow_metrics import ShadowMetrics
from services.gateway.rollouts.shadowing import Copy, ShadowBounds, Shadowing
from services.gateway.settings import Settings


async def open_answering(
    stack: contextlib.AsyncExitStack,
    settings: Settings,
    registry: Registry,
    retriever: Retriever,
    session: aiohttp.ClientSession,
    metrics: CollectorRegistry,
) -> Answering:
    """Make the chat endpoint's work; rows that are still unwritten are written at the end."""
    limits = settings.limits
    counter = await asyncio.to_thread(open_counter, settings.tokenizer_dir)
    rows = LedgerQueue(
        partial(ledger.append, registry.database), limits.ledger_rows, dropped_counter(metrics)
    )
    stack.push_async_callback(rows.flush)
    admission = Admission(limits.max_in_flight, limits.max_in_flight_per_key)
    expose_gauges(
        metrics,
        in_flight=lambda: admission.in_flight,
        ledger_lag=lambda: rows.lag_seconds,
        daily_budget_usd=settings.daily_budget_usd,
    )
    meter = Meter(
        Prices(**settings.prices.model_dump()),
        ChatMetrics(metrics, max_labels=limits.metric_label_values),
        rows,
    )

    def snapshot() -> Snapshot:
        return registry.keeper.current

    engines = _engines(session, settings)
    composer = Composer(Fitter(counter, limits.answer_reserve_tokens), engines)
    generation = Generation(meter)
    copies = deque[Copy]()
    shadow, kept = settings.shadow, settings.content
    content = open_content_store(
        registry,
        ContentBounds(
            tenants=frozenset(kept.tenants),
            percent=kept.percent,
            ttl_seconds=kept.ttl_seconds,
            max_characters=kept.max_characters,
            queue=kept.queue,
        ),
        metrics,
    )
    stack.push_async_callback(content.flush)
    return Answering(
        snapshot=snapshot,
        admission=admission,
        rewriter=Rewriter(
            snapshot,
            engines,
            counter,
            timeout_seconds=settings.rewrite.timeout_seconds,
            max_tokens=settings.rewrite.max_tokens,
            max_query_characters=limits.search_characters,
        ),
        grounder=Grounder(
            retriever.search, settings.search_timeout_seconds, limits.search_characters
        ),
        composer=composer,
        generation=generation,
        shadowing=Shadowing(
            snapshot,
            composer,
            generation,
            ShadowBounds(
                queue=shadow.queue,
                wait_seconds=shadow.wait_seconds,
                callers_beside=shadow.callers_beside,
                timeout_seconds=shadow.timeout_seconds,
            ),
            ShadowMetrics(metrics, lambda: len(copies)),
            content,
            copies,
        ),
        content=content,
        usage=AdapterUsage(registry, settings.adapter_usage_renew_seconds),
        max_messages=limits.max_messages,
    )


def _engines(session: aiohttp.ClientSession, settings: Settings) -> EngineClient:
    key, engine = settings.engine_api_key, settings.engine
    deadlines = EngineDeadlines(
        connect=engine.connect_timeout_seconds,
        first_token=engine.first_token_timeout_seconds,
        inter_token=engine.inter_token_timeout_seconds,
        total=engine.total_timeout_seconds,
    )
    return EngineClient(
        session, key.get_secret_value() if key else None, deadlines, engine.attempts
    )
