"""Adapters that cannot be served, and loads that fail for a while."""

from pathlib import Path
from typing import Any

import pytest

from services.contracts.adapters import CONFIG_FILE, WEIGHTS_FILE
from tests.service.generator.agent_stack import agent_stack

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"rank": 64}, "rank is 64"),
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "bias"),
        ({"peft_type": "IA3"}, "IA3"),
    ],
)
async def test_what_the_engine_would_refuse_never_reaches_it(
    tmp_path: Path, config: dict[str, Any], words: str
) -> None:
    async with agent_stack(tmp_path) as stack:
        bad = await stack.register("alpha", **config)
        stack.gateway.desired = [bad]
        failed = await stack.until_state(bad, "failed")
        assert words in str(failed.reason)
        assert not [r for r in stack.engine.requests if r.path == "/v1/load_lora_adapter"]


async def test_a_refusal_of_the_engine_is_for_good(tmp_path: Path) -> None:
    async with agent_stack(tmp_path) as stack:
        adapter, other = await stack.register("alpha"), await stack.register("beta")
        stack.engine.knobs.fail_loads_with = 500
        stack.gateway.desired = [adapter]
        await stack.until_state(adapter, "failed")
        stack.engine.knobs.fail_loads_with = None
        stack.gateway.desired = [adapter, other]
        await stack.until_state(other, "proven")
        loads = [r for r in stack.engine.requests if r.path == "/v1/load_lora_adapter"]
        assert [load.body["lora_name"] for load in loads] == [adapter.id, other.id]


async def test_a_busy_engine_is_asked_again(tmp_path: Path) -> None:
    async with agent_stack(tmp_path) as stack:
        adapter = await stack.register("alpha")
        stack.engine.knobs.fail_loads_with = 503
        stack.gateway.desired = [adapter]
        await stack.until(lambda report: "not ready" in str(report.adapters.get(adapter.id)))
        stack.engine.knobs.fail_loads_with = None
        proven = await stack.until_state(adapter, "proven")
        assert proven.reason is None


async def test_an_adapter_whose_proof_fails_for_a_while_is_proven_later(tmp_path: Path) -> None:
    async with agent_stack(tmp_path) as stack:
        adapter = await stack.register("alpha")
        stack.engine.knobs.overloaded = True
        stack.gateway.desired = [adapter]
        await stack.until(
            lambda report: (
                adapter.id in report.adapters and report.adapters[adapter.id].reason is not None
            )
        )
        stack.engine.knobs.overloaded = False
        await stack.until_state(adapter, "proven")
        assert stack.engine.weights.disk_reads == 1


async def test_missing_files_are_looked_for_again(tmp_path: Path) -> None:
    async with agent_stack(tmp_path) as stack:
        adapter = await stack.register("alpha")
        key = "adapters/" + adapter.id.replace("@", "/")
        await stack.store.delete_folder(key)
        stack.gateway.desired = [adapter]
        await stack.until(lambda report: "holds nothing" in str(report.adapters.get(adapter.id)))
        await stack.register("alpha")
        await stack.until_state(adapter, "proven")


async def test_files_that_are_not_what_was_registered_are_refused(tmp_path: Path) -> None:
    async with agent_stack(tmp_path) as stack:
        adapter, other = await stack.register("alpha"), await stack.register("beta")
        stored = tmp_path / "artifacts" / "adapters" / adapter.id.replace("@", "/")
        swapped = tmp_path / "artifacts" / "adapters" / other.id.replace("@", "/")
        (stored / WEIGHTS_FILE).write_bytes((swapped / WEIGHTS_FILE).read_bytes())
        stack.gateway.desired = [adapter]
        failed = await stack.until_state(adapter, "failed")
        assert "not what was registered" in str(failed.reason)
        assert not stack.local_folder(adapter).exists()


async def test_a_damaged_local_copy_is_fetched_again(tmp_path: Path) -> None:
    async with agent_stack(tmp_path) as stack:
        adapter = await stack.register("alpha")
        folder = stack.local_folder(adapter)
        folder.mkdir(parents=True)
        (folder / CONFIG_FILE).write_text("{}")
        stack.gateway.desired = [adapter]
        await stack.until_state(adapter, "proven")
        assert "LORA" in (folder / CONFIG_FILE).read_text()


async def test_one_bad_adapter_keeps_nothing_else_from_being_served(tmp_path: Path) -> None:
    async with agent_stack(tmp_path) as stack:
        bad = await stack.register("alpha", pinned=True, rank=64)
        good = await stack.register("beta", pinned=True)
        stack.gateway.desired = [bad, good]
        report = await stack.until(lambda report: report.engine == "ready")
        assert report.adapters[bad.id].state == "failed"
        assert report.adapters[good.id].state == "proven"
        status, body = await stack.get("/readyz")
        assert (status, bad.id in body) == (503, True)


async def test_a_refused_version_is_tried_again_when_it_is_ordered_anew(tmp_path: Path) -> None:
    async with agent_stack(tmp_path) as stack:
        adapter = await stack.register("alpha")
        stack.engine.knobs.fail_loads_with = 500
        stack.gateway.desired = [adapter]
        await stack.until_state(adapter, "failed")
        stack.gateway.desired = []
        await stack.until_gone(adapter)
        stack.engine.knobs.fail_loads_with = None
        stack.gateway.desired = [adapter]
        await stack.until_state(adapter, "proven")
