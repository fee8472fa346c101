"""Engines that die, restart, hang or are too old, and a gateway that is away."""

from pathlib import Path

import pytest

from services.contracts.adapters import ReplicaReport
from tests.fakes.engine import FakeEngine
from tests.fakes.gateway import FakeGateway
from tests.service.generator.agent_stack import AgentStack, agent_stack

pytestmark = pytest.mark.anyio


def standings(reports: list[ReplicaReport], version: str) -> list[tuple[str, str]]:
    """Each change of (engine, adapter state) over a run of heartbeats."""
    pairs = [(r.engine, str(r.adapters[version].state)) for r in reports if version in r.adapters]
    return [pair for place, pair in enumerate(pairs) if place == 0 or pair != pairs[place - 1]]


async def test_a_replica_is_ready_only_once_the_pinned_versions_are_proven(tmp_path: Path) -> None:
    async def order(stack: AgentStack) -> None:
        stack.gateway.desired = [await stack.register("alpha", pinned=True)]

    async with agent_stack(tmp_path, before=order) as stack:
        (adapter,) = stack.gateway.desired
        await stack.until(lambda report: report.engine == "ready")
        for report in stack.gateway.reports:
            if report.engine == "ready":
                assert report.adapters[adapter.id].state == "proven"
        await stack.until_ready()


async def test_a_version_that_is_pinned_later_does_not_take_the_replica_out(tmp_path: Path) -> None:
    async with agent_stack(tmp_path) as stack:
        await stack.until(lambda report: report.engine == "ready")
        stack.gateway.reports.clear()
        adapter = await stack.register("alpha", pinned=True)
        stack.gateway.desired = [adapter]
        await stack.until_state(adapter, "proven")
        assert {report.engine for report in stack.gateway.reports} == {"ready"}


async def test_an_engine_that_came_back_empty_is_filled_before_it_is_ready_again(
    tmp_path: Path,
) -> None:
    async with agent_stack(tmp_path) as stack:
        adapter = await stack.register("alpha", pinned=True)
        stack.gateway.desired = [adapter]
        await stack.until_state(adapter, "proven")
        stack.engine.knobs.load_delay_seconds = 0.2
        stack.gateway.reports.clear()
        stack.engine.restart()
        await stack.until(lambda report: report.adapters[adapter.id].state != "proven")
        await stack.until_state(adapter, "proven")
        seen = standings(stack.gateway.reports, adapter.id)
        assert all(state == "proven" for engine, state in seen if engine == "ready"), seen


async def test_a_dead_engine_is_reported_and_its_restart_is_counted(tmp_path: Path) -> None:
    async with agent_stack(tmp_path) as stack:
        adapter = await stack.register("alpha", pinned=True)
        stack.gateway.desired = [adapter]
        await stack.until_state(adapter, "proven")
        await stack.until_ready()
        stack.gateway.reports.clear()
        stack.engine.die()
        gone = await stack.until(lambda report: report.engine_started_at is None)
        assert gone.engine != "ready"
        status, _ = await stack.get("/readyz")
        assert status == 503
        stack.engine.restart()
        await stack.until_state(adapter, "proven")
        await stack.until_ready()
        _, metrics = await stack.get("/metrics")
        assert "inkstone_engine_restarts_total 1.0" in metrics
        assert f'inkstone_adapter_ready{{adapter="{adapter.id}"}} 1.0' in metrics


async def test_an_engine_below_the_floor_is_not_served_from(tmp_path: Path) -> None:
    async with agent_stack(tmp_path, engine=FakeEngine(version="0.24.0")) as stack:
        report = await stack.until(lambda report: report.engine == "down")
        assert report.adapters == {}
        status, body = await stack.get("/readyz")
        assert status == 503
        assert "0.32" in body


async def test_an_engine_with_another_key_is_not_ready_and_says_so(tmp_path: Path) -> None:
    async with agent_stack(tmp_path, engine=FakeEngine(api_key="another")) as stack:
        await stack.until(lambda report: report.engine == "down")
        status, body = await stack.get("/readyz")
        assert status == 503
        assert "engine" in body


async def test_without_the_gateway_the_agent_waits_and_then_works(tmp_path: Path) -> None:
    gateway = FakeGateway()
    gateway.failing_with = 503
    async with agent_stack(tmp_path, gateway=gateway) as stack:
        adapter = await stack.register("alpha", pinned=True)
        gateway.desired = [adapter]
        assert (await stack.get("/healthz"))[0] == 200
        assert (await stack.get("/readyz"))[0] == 503
        gateway.failing_with = None
        await stack.until_state(adapter, "proven")
        await stack.until_ready()


async def test_orders_are_kept_while_the_gateway_is_away(tmp_path: Path) -> None:
    async with agent_stack(tmp_path) as stack:
        adapter = await stack.register("alpha", pinned=True)
        stack.gateway.desired = [adapter]
        await stack.until_state(adapter, "proven")
        stack.gateway.failing_with = 500
        stack.engine.restart()
        reads = stack.engine.weights.disk_reads
        assert reads == 0
        await stack.until_ready()
        stack.gateway.failing_with = None
        await stack.until_state(adapter, "proven")


async def test_the_report_says_what_the_replica_is(tmp_path: Path) -> None:
    advertised = "http://engine.example:9000"
    async with agent_stack(
        tmp_path, advertised_engine_url=advertised, max_loras=2, max_cpu_loras=3, pool="blue"
    ) as stack:
        report = await stack.until(lambda report: report.engine == "ready")
        assert (report.replica, report.pool, report.endpoint) == ("replica-1", "blue", advertised)
        assert (report.max_loras, report.max_cpu_loras, report.max_lora_rank) == (2, 3, 32)
        assert report.base_model == "base"
        assert report.max_model_len == 2048
        assert len(report.base_fingerprint) == 12
        assert len(report.chat_template_hash) == 12


async def test_a_base_that_cannot_be_found_is_said_on_the_readiness_page(tmp_path: Path) -> None:
    async with agent_stack(tmp_path, base_model=str(tmp_path / "nowhere" / "else")) as stack:
        status, body = await stack.get("/readyz")
        assert status == 503
        while "INKSTONE_GENERATOR_BASE_MODEL" not in body:
            _, body = await stack.get("/readyz")
        assert stack.gateway.reports == []
