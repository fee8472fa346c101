"""What happened to training jobs, as their workers and the gateway tell it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Row, insert, select

from services.contracts.fine_tuning import FineTuningEvent
from services.contracts.jobs import TrainingEvent
from services.gateway.registry import tables
from services.gateway.registry.changes import Change, Registry
from services.gateway.registry.paging import Page, page_of

_events = tables.training_events

BY_GATEWAY = 0
"""The attempt under which the gateway's own events stand."""

_SILENT = "The worker fell silent at step "
"""Begins the event of a worker that was lost; what was lost before is counted by it."""


async def add(change: Change, job: str, attempt: int, events: Sequence[TrainingEvent]) -> None:
    """Write events down; those that came before change nothing."""
    known = set(
        await change.connection.scalars(
            select(_events.c.number).where(_events.c.job == job, _events.c.attempt == attempt)
        )
    )
    fresh = {event.number: event for event in events if event.number not in known}
    if fresh:
        await change.connection.execute(
            insert(_events),
            [
                {"job": job, "attempt": attempt, **event.model_dump(mode="json")}
                for event in fresh.values()
            ],
        )


async def say(
    change: Change, job: str, message: str, level: Literal["info", "warn"] = "info"
) -> None:
    """Write down what the gateway itself did."""
    said = await change.connection.scalars(
        select(_events.c.number).where(_events.c.job == job, _events.c.attempt == BY_GATEWAY)
    )
    number = max(said, default=0) + 1
    event = TrainingEvent(number=number, at=change.now, level=level, message=message)
    await add(change, job, BY_GATEWAY, [event])


async def say_silent(change: Change, job: str, step: int) -> None:
    """Write down that a job is taken from a worker that fell silent."""
    await say(change, job, f"{_SILENT}{step}", "warn")


async def silences(change: Change, job: str, step: int) -> int:
    """Count the workers that fell silent, this one included, since the job last got any further.

    Args:
        step: where the worker stood that is silent now.
    """
    said = await change.connection.scalars(
        select(_events.c.message)
        .where(_events.c.job == job, _events.c.attempt == BY_GATEWAY)
        .where(_events.c.message.startswith(_SILENT, autoescape=True))
        .order_by(_events.c.number)
    )
    reached, count = 0, 0
    for at in [*(int(message.removeprefix(_SILENT)) for message in said), step]:
        count = 1 if at > reached else count + 1
        reached = max(at, reached)
    return count


async def listed(
    registry: Registry, job: str, page: Page
) -> tuple[Sequence[FineTuningEvent], bool]:
    """Read a job's events, newest first, and whether there are more."""
    statement = select(_events).where(_events.c.job == job)
    page = Page(page.limit, page.after and page.after.removeprefix("ftevent-"))
    async with registry.database.read() as connection:
        rows, more = await page_of(
            connection, statement, page, order=(_events.c.id,), id_=_events.c.id
        )
    return [_event_of(row) for row in rows], more


def _event_of(row: Row[*tuple[Any, ...]]) -> FineTuningEvent:
    return FineTuningEvent(
        id=f"ftevent-{row.id}",
        created_at=int(row.at),
        level=row.level,
        message=row.message,
        type="message" if row.data is None else "metrics",
        data=row.data,
    )
