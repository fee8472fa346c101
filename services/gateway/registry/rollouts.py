"""Rollouts in the registry: begun, moved by events, read; each move is one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.errors import Conflict, NotFound
from services.contracts.rollouts import Analysis, Gate, Rollout, RolloutWrite, Shadow, Step
from services.domain.rollouts.states import (
    ACTIVE,
    MOVING,
    Event,
    NotPossible,
    Progress,
    State,
    after,
    begun,
)
from services.gateway.registry import releases, tables
from services.gateway.registry.changes import Change, Registry, Subject
from services.gateway.registry.paging import Page, page_of

_rollouts = tables.rollouts


class RolloutNotFound(NotFound):
    """The assistant has no such rollout."""

    code = "rollout_not_found"


class RolloutActive(Conflict):
    """The assistant has a rollout that is not over."""

    code = "rollout_active"


class RolloutState(Conflict):
    """What is asked for has no meaning where the rollout stands."""

    code = "rollout_state"


class RolloutOutdated(Conflict):
    """The assistant serves something else by now than what the rollout brought."""

    code = "rollout_outdated"


@dataclass(frozen=True, slots=True)
class Standing:
    """A rollout as the registry has it, with its progress."""

    tenant: str
    rollout: Rollout
    progress: Progress
    serving_since: float | None
    """When the candidate began to answer, in seconds since the epoch."""
    adapter: str | None
    """The candidate's adapter."""


async def begin(
    change: Change, name: str, write: RolloutWrite, *, stable: int, candidate: int
) -> Rollout:
    """Put a rollout on record; the controller takes it from there.

    Raises:
        RolloutActive: while another one of the assistant is not over.
    """
    if active := await _active_of(change.connection, change.actor.tenant, name):
        raise RolloutActive(
            f"The rollout {active!r} of {name!r} is not over; promote it, roll it back or abort it "
            "first."
        )
    id_, now = f"ro_{token_hex(8)}", change.now
    steps = [] if write.strategy == "immediate" else write.steps
    shadow = write.shadowing
    progress = begun(len(steps), gated=write.gate is not None, shadowed=shadow is not None)
    await change.connection.execute(
        insert(_rollouts).values(
            tenant=change.actor.tenant,
            id=id_,
            assistant=name,
            strategy=write.strategy,
            stable=stable,
            candidate=candidate,
            steps=[step.model_dump(mode="json") for step in steps],
            analysis=write.analysis.model_dump(mode="json") if write.analysis else None,
            gate=write.gate.model_dump(mode="json") if write.gate else None,
            shadow=shadow.model_dump(mode="json") if shadow else None,
            state=progress.state,
            step=progress.step,
            reason=change.actor.reason,
            created_at=change.second,
            created_by=change.actor.key_id,
            entered_at=now,
        )
    )
    detail = {
        "assistant": name,
        "candidate": f"{name}/{candidate}",
        "strategy": write.strategy,
        "allow_without_evidence": write.allow_without_evidence,
    }
    await change.record("rollout.begun", Subject.ROLLOUTS, id_, detail)
    return (await find(change.connection, change.actor.tenant, name, id_)).rollout


async def move(change: Change, current: Standing, event: Event, *, reason: str | None) -> Rollout:
    """Let an event move a rollout, and its assistant with it.

    Args:
        current: the rollout as it was read in this change.

    Raises:
        RolloutState: the event has no meaning where the rollout stands now.
        RolloutOutdated: the assistant serves something else than what is to be taken back.
    """
    seen = current.rollout
    name, id_ = seen.assistant, seen.id
    try:
        progress = after(current.progress, event)
    except NotPossible as error:
        raise RolloutState(
            f"The rollout {id_!r} is {current.progress.state.value}; it cannot "
            f"{event.value.replace('_', ' ')} from there."
        ) from error
    await _write(change, current, progress, reason)
    before = current.progress.state
    if progress.state is State.PROMOTED:
        await _serve(change, name, _number(seen.candidate))
    elif before is State.PROMOTED:
        await _take_back(change, current)
    detail = {
        "assistant": name,
        "before": before.value,
        "after": progress.state.value,
        "step": progress.step,
        "why": reason,
    }
    await change.record(f"rollout.{event.value}", Subject.ROLLOUTS, id_, detail)
    return (await find(change.connection, change.actor.tenant, name, id_)).rollout


async def supersede(change: Change, name: str) -> None:
    """End the assistant's active rollout, because what it serves is changed from elsewhere."""
    tenant = change.actor.tenant
    if (id_ := await _active_of(change.connection, tenant, name)) is not None:
        standing = await find(change.connection, tenant, name, id_)
        await move(change, standing, Event.SUPERSEDE, reason="the assistant was bound directly")


async def find(connection: AsyncConnection, tenant: str, name: str, id_: str) -> Standing:
    """Read one rollout of an assistant.

    Raises:
        RolloutNotFound: the assistant has none of that id.
    """
    mine = (_rollouts.c.tenant == tenant, _rollouts.c.assistant == name, _rollouts.c.id == id_)
    row = (await connection.execute(_with_candidate().where(*mine))).one_or_none()
    if row is None:
        raise RolloutNotFound(f"The assistant {name!r} has no rollout {id_!r}.")
    return _standing_of(row)


async def active(connection: AsyncConnection) -> list[Standing]:
    """Read the rollouts of all tenants that are not over and that nobody holds."""
    query = _with_candidate().where(_rollouts.c.state.in_(MOVING))
    rows = await connection.execute(query.order_by(_rollouts.c.created_at, _rollouts.c.id))
    return [_standing_of(row) for row in rows]


async def listed(
    registry: Registry, tenant: str, name: str, page: Page
) -> tuple[Sequence[Rollout], bool]:
    """Read an assistant's rollouts, newest first, and whether there are more."""
    mine = (_rollouts.c.tenant == tenant, _rollouts.c.assistant == name)
    order = (_rollouts.c.created_at, _rollouts.c.id)
    async with registry.database.read() as connection:
        rows, more = await page_of(
            connection, _with_candidate().where(*mine), page, order=order, id_=_rollouts.c.id
        )
    return [_standing_of(row).rollout for row in rows], more


async def uses(connection: AsyncConnection, tenant: str, adapter: str) -> list[str]:
    """Name the assistants whose active rollout brings an adapter version."""
    query = _with_candidate().where(
        _rollouts.c.tenant == tenant,
        _rollouts.c.state.in_(ACTIVE),
        tables.releases.c.adapter == adapter,
    )
    return [row.assistant for row in await connection.execute(query)]


async def adapter_of(connection: AsyncConnection, tenant: str, release: str) -> str | None:
    """Name the adapter of a release, `<assistant>/<number>`."""
    table = tables.releases.c
    found: str | None = await connection.scalar(
        select(table.adapter).where(
            table.tenant == tenant,
            table.assistant == release.rpartition("/")[0],
            table.number == _number(release),
        )
    )
    return found


async def _write(change: Change, current: Standing, progress: Progress, reason: str | None) -> None:
    began = current.serving_since is None and progress.serving
    held = progress.held.value if progress.held else None
    row = (_rollouts.c.tenant == change.actor.tenant, _rollouts.c.id == current.rollout.id)
    await change.connection.execute(
        update(_rollouts)
        .where(*row)
        .values(
            state=progress.state.value,
            step=progress.step,
            held=held,
            reason=reason,
            serving_since=change.now if began else current.serving_since,
            entered_at=change.now,
        )
    )


async def _serve(change: Change, name: str, number: int) -> None:
    await releases.point(change, name, stable=number)
    change.touched.add(Subject.ASSISTANTS)


async def _take_back(change: Change, promoted: Standing) -> None:
    name, rollout = promoted.rollout.assistant, promoted.rollout
    table = tables.assistants.c
    serves = await change.connection.scalar(
        select(table.stable).where(table.tenant == change.actor.tenant, table.name == name)
    )
    if serves != _number(rollout.candidate):
        raise RolloutOutdated(
            f"{name!r} no longer serves {rollout.candidate}; bind the release that it should serve."
        )
    await _require_adapter(change, name, rollout.stable)
    await _serve(change, name, _number(rollout.stable))


async def _require_adapter(change: Change, name: str, release: str) -> None:
    """Refuse to go back to a release whose adapter nobody could serve."""
    adapter = await adapter_of(change.connection, change.actor.tenant, release)
    table = tables.adapters.c
    state = await change.connection.scalar(
        select(table.state).where(table.tenant == change.actor.tenant, table.id == adapter)
    )
    if adapter is not None and state != "registered":
        raise RolloutOutdated(
            f"{release} serves {adapter!r}, which is retired; register it again, then roll back, "
            f"or bind {name!r} to the release that it should serve."
        )


async def _active_of(connection: AsyncConnection, tenant: str, name: str) -> str | None:
    found: str | None = await connection.scalar(
        select(_rollouts.c.id).where(
            _rollouts.c.tenant == tenant,
            _rollouts.c.assistant == name,
            _rollouts.c.state.in_(ACTIVE),
        )
    )
    return found


def _with_candidate() -> Any:
    release = tables.releases
    joined = (
        (release.c.tenant == _rollouts.c.tenant)
        & (release.c.assistant == _rollouts.c.assistant)
        & (release.c.number == _rollouts.c.candidate)
    )
    return select(*_rollouts.c, release.c.adapter).join(release, joined)


def _standing_of(row: Row[Any]) -> Standing:
    progress = Progress(
        State(row.state),
        row.step,
        len(row.steps),
        State(row.held) if row.held else None,
        gated=row.gate is not None,
        shadowed=row.shadow is not None,
    )
    rollout = Rollout(
        id=row.id,
        assistant=row.assistant,
        state=row.state,
        strategy=row.strategy,
        gate=Gate.received(row.gate) if row.gate else None,
        shadow=Shadow.received(row.shadow) if row.shadow else None,
        stable=f"{row.assistant}/{row.stable}",
        candidate=f"{row.assistant}/{row.candidate}",
        steps=[Step.received(step) for step in row.steps],
        step=row.step,
        weight=row.steps[row.step]["weight"] if progress.serving else 0.0,
        analysis=Analysis.received(row.analysis) if row.analysis else None,
        reason=row.reason,
        created_at=row.created_at,
        created_by=row.created_by,
        entered_at=row.entered_at,
        version=row.version,
    )
    return Standing(row.tenant, rollout, progress, row.serving_since, row.adapter)


def _number(release: str) -> int:
    return int(release.rpartition("/")[2])
