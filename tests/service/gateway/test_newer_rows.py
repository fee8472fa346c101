"""While gateways are replaced, one of the version before reads what a newer one has written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, select, update

from services.gateway.registry import tables
from tests.service.gateway.chat_stack import ChatStack, chat_stack
from tests.service.gateway.rollout_calls import begun, comes_to, seen, two_versions
from tests.service.gateway.test_evaluations import case, evaluated, put
from tests.service.gateway.test_training_verdicts import claimed, created

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stack(tmp_path: Path, database_url: str | None) -> AsyncIterator[ChatStack]:
    quick = {"look_seconds": 0.02}
    async with chat_stack(
        tmp_path, database_url=database_url, rollouts=quick, evaluations=quick
    ) as made:
        yield made


NEW = {"of_a_later_version": 1}


def _with_new(kept: Any) -> Any:
    return [{**one, **NEW} for one in kept] if isinstance(kept, list) else {**kept, **NEW}


async def with_something_new(stack: ChatStack, table: Table, column: str) -> None:
    """Let the object of every row, or each of its objects, have a field that is not known."""
    database = stack.gateway.resources.registry.database
    async with database.write() as connection:
        kept: Any = await connection.scalar(select(table.c[column]))
        await connection.execute(update(table).values({column: _with_new(kept)}))


async def test_releases_adapters_and_rollouts_with_unknown_fields_still_serve(
    stack: ChatStack,
) -> None:
    _, new = await two_versions(stack)
    rollout = await begun(stack, new, 50.0, analysis={"min_samples": 1_000})
    await comes_to(stack, rollout, "canary")
    for table, column in (
        (tables.releases, "profile"),
        (tables.adapters, "manifest"),
        (tables.rollouts, "analysis"),
        (tables.rollouts, "steps"),
    ):
        await with_something_new(stack, table, column)
    # A change of each part of the snapshot has all of them read anew.
    await stack.adapter("another")
    await stack.bind("other")
    assert (await stack.gateway.admin.get("/admin/adapters")).status == 200
    assert (await stack.gateway.admin.get("/admin/assistants")).status == 200
    assert (await seen(stack, rollout))["state"] == "canary"
    assert (await stack.ask()).status == 200


async def test_evaluations_with_unknown_fields_are_still_shown(stack: ChatStack) -> None:
    _, new = await two_versions(stack)
    await put(stack.gateway.admin, [case("one")])
    done = await evaluated(stack, bundle={"adapter": new})
    for table, column in (
        (tables.evaluations, "rules"),
        (tables.evaluations, "report"),
        (tables.evaluation_answers, "baseline"),
        (tables.evaluation_answers, "candidate"),
    ):
        await with_something_new(stack, table, column)
    admin, path = stack.gateway.admin, f"/admin/evaluations/{done['id']}"
    assert (await admin.get(path)).body == done
    assert (await admin.get("/admin/evaluations")).status == 200
    (answer,) = (await admin.get(f"{path}/answers")).body["data"]
    assert "of_a_later_version" not in answer["baseline"]


async def test_training_jobs_with_unknown_fields_are_still_shown_and_claimed(
    stack: ChatStack,
) -> None:
    job = (await created(stack)).body["id"]
    await with_something_new(stack, tables.training_jobs, "spec")
    admin = stack.gateway.admin
    assert (await admin.get(f"/v1/fine_tuning/jobs/{job}")).status == 200
    assert (await admin.get("/admin/training-jobs")).status == 200
    assert (await claimed(stack))["job"]["id"] == job
