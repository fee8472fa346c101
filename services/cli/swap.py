"""Swapping a live assistant's adapter under load, with marker adapters as the oracle.

Each marker adapter answers every prompt with a word of its own, so the text proves which weights
answered; the engine's own echo of a model name proves nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from openai import AsyncOpenAI, OpenAIError

from services.cli.gateway import Gateway
from services.contracts.assistants import AssistantWrite, Profile, Sampling

PROMPTS = (
    "What do you sell?",
    "배송은 얼마나 걸리나요?",
    "Tell me about the kettle.",
    "환불 규정을 알려 주세요.",
)


@dataclass(slots=True)
class SwapReport:
    """What happened while the adapter was swapped back and forth."""

    sent: int = 0
    failed: int = 0
    wrong: int = 0
    """Answers whose text belongs to another version than the one that the gateway resolved, or
    to the old version although the request began after the swap was acknowledged."""
    swaps: list[float] = field(default_factory=list)
    """Seconds from each swap's request to its acknowledgement."""
    errors: list[str] = field(default_factory=list)


@dataclass(slots=True)
class LiveSwap:
    """One assistant under load while its adapter changes."""

    gateway: Gateway
    client: AsyncOpenAI
    assistant: str
    markers: Mapping[str, str]
    """Marker word by adapter version id."""
    report: SwapReport = field(default_factory=SwapReport)
    _settled: str | None = None
    _epoch: int = 0
    _stop: bool = False

    async def run(self, *, swaps: int, workers: int, pause_seconds: float) -> SwapReport:
        """Swap so many times while so many workers ask without pause."""
        versions = list(self.markers)
        await self._bind(versions[0])
        async with asyncio.TaskGroup() as group:
            for worker in range(workers):
                group.create_task(self._ask_until_stopped(worker))
            for turn in range(1, swaps + 1):
                await asyncio.sleep(pause_seconds)
                self.report.swaps.append(await self._bind(versions[turn % len(versions)]))
            await asyncio.sleep(pause_seconds)
            self._stop = True
        return self.report

    async def _bind(self, version: str) -> float:
        """Bind the assistant; until the reply, either version may answer."""
        self._settled = None
        self._epoch += 1
        started = time.perf_counter()
        spec = AssistantWrite(
            profile=Profile(sampling=Sampling(max_tokens=12)),
            adapter=version,
            allow_prompt_mismatch=True,
        )
        await self.gateway.put_assistant(self.assistant, spec)
        self._settled = version
        return time.perf_counter() - started

    async def _ask_until_stopped(self, worker: int) -> None:
        turn = worker
        while not self._stop:
            await self._ask(PROMPTS[turn % len(PROMPTS)])
            turn += 1

    async def _ask(self, prompt: str) -> None:
        settled, epoch = self._settled, self._epoch
        self.report.sent += 1
        try:
            reply = await self.client.chat.completions.create(
                model=self.assistant, messages=[{"role": "user", "content": prompt}]
            )
        except OpenAIError as error:
            self.report.failed += 1
            self.report.errors.append(str(error))
            return
        resolved = (reply.model_extra or {})["inkstone"]["adapter"]
        text = reply.choices[0].message.content or ""
        stale = settled is not None and epoch == self._epoch and resolved != settled
        if text.strip() != self.markers.get(resolved) or stale:
            self.report.wrong += 1
            self.report.errors.append(f"{resolved} answered {text!r}")
