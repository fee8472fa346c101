"""What ends a real engine, which the agent's rules are made to avoid; the fake dies of the same."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.system.generator.subject import Subject, until

pytestmark = pytest.mark.anyio


async def test_using_an_evicted_adapter_whose_files_are_gone_ends_the_engine(
    subject_of_its_own: Subject, tmp_path: Path
) -> None:
    """Danger 1: every model answers 500 from then on, and running streams break off."""
    subject = subject_of_its_own
    names = ["alpha", "beta", "gamma", "delta"]
    for name in names:
        await subject.load(name, subject.make_adapter(tmp_path / name, name, 0))
    shutil.rmtree(tmp_path / "alpha")
    async with subject.stream(max_tokens=900, ignore_eos=True) as bystander:
        await bystander.first_token()
        answer = await subject.chat("alpha")
        assert (answer.status, answer.error["type"]) == (500, "InternalServerError")
        *_, error, done = await bystander.all_events()
        assert error["error"]["code"] == 500
        assert done == "[DONE]"
    await until(lambda: _is_gone(subject), "the engine is gone")


async def test_asking_for_a_prompt_s_log_probabilities_beside_another_request_ends_the_engine(
    subject_of_its_own: Subject,
) -> None:
    """The canary must never do it, and the gateway must never pass it on."""
    subject = subject_of_its_own
    asked = {"model": subject.base, "max_tokens": 1, "prompt_logprobs": 0}
    answers = await asyncio.gather(
        *(subject.call("POST", "/v1/completions", {**asked, "prompt": p * 40}) for p in "xyz"),
        return_exceptions=True,
    )
    assert any(isinstance(a, BaseException) or a.status == 500 for a in answers)
    await until(lambda: _is_gone(subject), "the engine is gone")


async def _is_gone(subject: Subject) -> bool:
    """The server says so for a moment, and then ends as well."""
    import aiohttp

    try:
        return (await subject.call("GET", "/health", key=None)).status == 503
    except aiohttp.ClientError:
        return True
