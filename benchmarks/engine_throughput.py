"""Tokens per second of the real engine, asked directly and through the gateway, in turns.

Starts the local stack on a home of its own (models come from `INKSTONE_MODELS_DIR`, or are prepared
there), binds an assistant without retrieval, and streams the same prompts both ways.

    python benchmarks/engine_throughput.py [--clients 4] [--rounds 3] [--tokens 96]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from openai import AsyncOpenAI
from rich.console import Console
from rich.table import Table

from services.cli.connection import Connection
from services.cli.up import Stack, running_stack
from services.contracts.assistants import AssistantWrite, Profile, Sampling

PORT = 8790
PROMPT = "Write a long list of things that a small shop for tea and paper could sell in winter."


async def main(clients: int, rounds: int, tokens: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with running_stack(Path(folder), PORT, Console(stderr=True)) as stack:
            await measure(stack, clients, rounds, tokens)


async def measure(stack: Stack, clients: int, rounds: int, tokens: int) -> None:
    admin = Connection(stack.url, stack.home.key("admin"))
    async with admin.gateway() as gateway:
        profile = Profile(sampling=Sampling(max_tokens=tokens))
        await gateway.put_assistant("bench", AssistantWrite(profile=profile))
        replica = (await gateway.peer.json("GET", "/admin/replicas"))["data"][0]
    ways = {
        "direct": (f"{replica['endpoint']}/v1", stack.home.key("engine"), replica["base_model"]),
        "gateway": (f"{stack.url}/v1", stack.home.key("app"), "bench"),
    }
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way, (url, key, model) in ways.items():
            figures = await one_round(url, key, model, clients, tokens)
            if number:  # the first round warms both ways
                found[way].append(figures)
    table = Table("way", "tokens/s", "first token ms", title=f"{clients} streaming clients")
    rates = {way: statistics.median(rate for rate, _ in rows) for way, rows in found.items()}
    for way, rows in found.items():
        first = statistics.median(first for _, first in rows)
        table.add_row(way, f"{rates[way]:.1f}", f"{first * 1000:.0f}")
    console = Console()
    console.print(table)
    console.print(f"gateway / direct = {rates['gateway'] / rates['direct']:.3f} (bar: 0.98)")


async def one_round(
    url: str, key: str, model: str, clients: int, tokens: int
) -> tuple[float, float]:
    """Stream one answer for each client; return tokens per second and the mean first token."""
    async with AsyncOpenAI(base_url=url, api_key=key, max_retries=0) as client:
        started = time.perf_counter()
        results = await asyncio.gather(
            *(one_stream(client, model, number, tokens) for number in range(clients))
        )
        seconds = time.perf_counter() - started
    return sum(count for count, _ in results) / seconds, statistics.mean(f for _, f in results)


async def one_stream(
    client: AsyncOpenAI, model: str, number: int, tokens: int
) -> tuple[int, float]:
    started = time.perf_counter()
    first = 0.0
    count = 0
    stream = await client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": f"{number}. {PROMPT}"}],
        stream=True,
        stream_options={"include_usage": True},
        max_tokens=tokens,
        temperature=0,
    )
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content and not first:
            first = time.perf_counter() - started
        if chunk.usage:
            count = chunk.usage.completion_tokens
    return count, first


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=96)
    options = parser.parse_args()
    asyncio.run(main(options.clients, options.rounds, options.tokens))
