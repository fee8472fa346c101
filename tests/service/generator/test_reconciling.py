"""The agent makes a running engine hold what the gateway orders, and proves it."""

from pathlib import Path

import pytest

from services.contracts.adapters import WEIGHTS_FILE
from services.domain.isolation import cache_salt
from services.generator.adapters.canary import QUESTIONS
from tests.fakes.adapters import write_adapter
from tests.fakes.engine import FakeEngine
from tests.service.generator.agent_stack import QUICK, AgentStack, agent_stack

pytestmark = pytest.mark.anyio


async def test_an_ordered_version_is_loaded_and_proven(tmp_path: Path) -> None:
    async with agent_stack(tmp_path) as stack:
        adapter = await stack.register("alpha")
        stack.gateway.desired = [adapter]
        proven = await stack.until_state(adapter, "proven")
        assert proven.canary_shift is not None
        assert proven.canary_shift > 0.4
        assert proven.load_seconds is not None
        loaded = stack.engine.weights.loaded[adapter.id]
        assert loaded.path == str(stack.local_folder(adapter))


async def test_the_path_holds_name_and_hash_and_nothing_is_loaded_in_place(tmp_path: Path) -> None:
    async with agent_stack(tmp_path) as stack:
        adapter = await stack.register("alpha", name="formal")
        stack.gateway.desired = [adapter]
        await stack.until_state(adapter, "proven")
        (load,) = [r for r in stack.engine.requests if r.path == "/v1/load_lora_adapter"]
        name, _, short_hash = adapter.id.partition("@")
        assert load.body["lora_path"].endswith(f"/{name}/{short_hash}")
        assert not load.body.get("load_inplace")


async def test_the_proof_asks_every_question_of_base_and_adapter(tmp_path: Path) -> None:
    async with agent_stack(tmp_path) as stack:
        adapters = [await stack.register("alpha"), await stack.register("beta")]
        stack.gateway.desired = adapters
        for adapter in adapters:
            await stack.until_state(adapter, "proven")
        asked = [(r.body["model"], r.body["cache_salt"]) for r in stack.engine.generations()]
        for model in ("base", *(adapter.id for adapter in adapters)):
            assert asked.count((model, cache_salt("canary", model))) == len(QUESTIONS)


async def test_no_log_probabilities_of_prompts_are_asked_for(tmp_path: Path) -> None:
    async with agent_stack(tmp_path) as stack:
        adapter = await stack.register("alpha")
        stack.gateway.desired = [adapter]
        await stack.until_state(adapter, "proven")
        assert not [r for r in stack.engine.generations() if "prompt_logprobs" in r.body]


async def test_a_version_without_effect_fails_and_is_taken_out(tmp_path: Path) -> None:
    async with agent_stack(tmp_path) as stack:
        silent = await stack.register("", name="silent")
        stack.gateway.desired = [silent]
        failed = await stack.until_state(silent, "failed")
        assert "no effect" in str(failed.reason)
        assert silent.id not in stack.engine.weights.loaded


async def test_a_threshold_of_zero_lets_any_version_pass(tmp_path: Path) -> None:
    lenient = QUICK.model_copy(update={"canary_threshold": 0.0})
    async with agent_stack(tmp_path, adapters=lenient) as stack:
        silent = await stack.register("", name="silent")
        stack.gateway.desired = [silent]
        assert (await stack.until_state(silent, "proven")).canary_shift == 0.0


async def test_pinned_versions_are_loaded_first(tmp_path: Path) -> None:
    async with agent_stack(tmp_path) as stack:
        loose, pinned = await stack.register("alpha"), await stack.register("beta", pinned=True)
        stack.gateway.desired = [loose, pinned]
        await stack.until_state(loose, "proven")
        loads = [r for r in stack.engine.requests if r.path == "/v1/load_lora_adapter"]
        assert [load.body["lora_name"] for load in loads] == [pinned.id, loose.id]


async def test_a_version_that_is_no_longer_ordered_is_unloaded(tmp_path: Path) -> None:
    async with agent_stack(tmp_path) as stack:
        adapter = await stack.register("alpha")
        stack.gateway.desired = [adapter]
        await stack.until_state(adapter, "proven")
        stack.gateway.desired = []
        await stack.until_gone(adapter)
        assert adapter.id not in stack.engine.weights.loaded


async def test_it_stays_loaded_for_the_drain_grace_and_comes_back_without_a_load(
    tmp_path: Path,
) -> None:
    patient = QUICK.model_copy(update={"drain_grace_seconds": 3600})
    async with agent_stack(tmp_path, adapters=patient) as stack:
        adapter = await stack.register("alpha")
        stack.gateway.desired = [adapter]
        await stack.until_state(adapter, "proven")
        stack.gateway.desired = []
        await stack.until_state(adapter, "unloading")
        assert adapter.id in stack.engine.weights.loaded
        stack.gateway.desired = [adapter]
        await stack.until_state(adapter, "proven")
        assert stack.engine.weights.disk_reads == 1


async def test_files_outlive_the_unload_until_their_grace_is_over(tmp_path: Path) -> None:
    async with agent_stack(tmp_path) as stack:
        adapter = await stack.register("alpha")
        stack.gateway.desired = [adapter]
        await stack.until_state(adapter, "proven")
        stack.gateway.desired = []
        await stack.until_gone(adapter)
        assert (stack.local_folder(adapter) / WEIGHTS_FILE).is_file()


async def test_files_are_deleted_once_their_grace_is_over(tmp_path: Path) -> None:
    hasty = QUICK.model_copy(update={"file_grace_seconds": 0})
    async with agent_stack(tmp_path, adapters=hasty) as stack:
        adapter, other = await stack.register("alpha"), await stack.register("beta")
        stack.gateway.desired = [adapter, other]
        await stack.until_state(other, "proven")
        stack.gateway.desired = [other]
        await stack.until_gone(adapter)
        await stack.until(lambda _: not stack.local_folder(adapter).exists())
        assert (stack.local_folder(other) / WEIGHTS_FILE).is_file()


async def test_a_name_that_leads_elsewhere_is_loaded_again_from_the_right_path(
    tmp_path: Path,
) -> None:
    async def plant(stack: AgentStack) -> None:
        adapter = await stack.register("alpha")
        stack.gateway.desired = [adapter]
        elsewhere = write_adapter(tmp_path / "elsewhere", "impostor")
        stack.engine.weights.load(adapter.id, str(elsewhere))

    async with agent_stack(tmp_path, before=plant) as stack:
        (adapter,) = stack.gateway.desired
        await stack.until_state(adapter, "proven")
        assert stack.engine.weights.loaded[adapter.id].path == str(stack.local_folder(adapter))


async def test_a_restarted_agent_proves_what_the_engine_holds_without_loading_it_again(
    tmp_path: Path,
) -> None:
    engine = FakeEngine()
    async with agent_stack(tmp_path, engine=engine) as stack:
        adapter = await stack.register("alpha")
        stack.gateway.desired = [adapter]
        await stack.until_state(adapter, "proven")
    async with agent_stack(tmp_path, engine=engine) as stack:
        stack.gateway.desired = [adapter]
        await stack.until_state(adapter, "proven")
    assert engine.weights.disk_reads == 1


async def test_a_leftover_of_an_earlier_agent_is_unloaded_and_others_are_left_alone(
    tmp_path: Path,
) -> None:
    engine = FakeEngine()
    engine.weights.load("somebody-elses", str(write_adapter(tmp_path / "other", "other")))
    async with agent_stack(tmp_path, engine=engine) as stack:
        adapter = await stack.register("alpha")
        stack.gateway.desired = [adapter]
        await stack.until_state(adapter, "proven")
    async with agent_stack(tmp_path, engine=engine) as stack:
        await stack.until(lambda _: adapter.id not in engine.weights.loaded)
        assert "somebody-elses" in engine.weights.loaded


async def test_more_versions_than_slots_are_all_proven_one_load_at_a_time(tmp_path: Path) -> None:
    engine = FakeEngine(max_loras=1, max_cpu_loras=2)
    async with agent_stack(tmp_path, engine=engine) as stack:
        adapters = [await stack.register(marker) for marker in ("alpha", "beta", "gamma", "delta")]
        stack.gateway.desired = adapters
        for adapter in adapters:
            await stack.until_state(adapter, "proven")
        assert set(engine.weights.loaded) == {adapter.id for adapter in adapters}
