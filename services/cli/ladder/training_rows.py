"""The rows of a rung's training file, with the passages that its assistant would find."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from services.cli.gateway import Gateway
from services.contracts.assistants import Profile, RetrievalPolicy
from services.contracts.knowledge import Passage
from services.domain.datasets.examples import Example
from services.domain.ladder.rows import shows_passages, training_row
from services.domain.passages import Source

SEARCHED_AT_ONCE = 4
"""Searches for the passages of training rows at the same time."""

Told = Callable[[str], None]
"""Takes where a training stands, in a few words."""


async def training_file(
    gateway: Gateway,
    rows: Sequence[Example],
    profile: Profile,
    policy: RetrievalPolicy | None,
    told: Told,
) -> bytes:
    """Write rows as the adapter will be asked; with a policy, with the passages it would find."""
    turns, done = asyncio.Semaphore(SEARCHED_AT_ONCE), 0

    async def written(row: Example) -> bytes:
        nonlocal done
        sources: Sequence[Source] = ()
        if policy is not None and not shows_passages(row, profile):
            async with turns:
                sources = await _sources(gateway, policy, row.question)
            done += 1
            told(f"passages for {done} of {len(rows)} rows")
        found = training_row(row, profile, sources, grounded=policy is not None)
        return json.dumps(found, ensure_ascii=False).encode()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(written(row)) for row in rows]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    return b"\n".join(task.result() for task in tasks)


async def _sources(gateway: Gateway, policy: RetrievalPolicy, question: str) -> list[Source]:
    """Find the passages that an assistant of this policy would be shown."""
    fields: dict[str, Any] = {
        "min_score": policy.min_score,
        "mode": policy.mode,
        "expand": policy.expand,
        "diversity": policy.diversity,
        "filter": policy.filter and policy.filter.model_dump(mode="json"),
    }
    given = {name: value for name, value in fields.items() if value is not None}
    found: list[Passage] = []
    for collection in policy.collections:
        result = await gateway.search(collection, question, policy.top_k, **given)
        found += result.data
    found.sort(key=lambda passage: passage.score, reverse=True)
    return [
        Source(one.title, (one.surroundings or one).text, one.headings, one.uri, one.page)
        for one in found[: policy.top_k]
    ]
